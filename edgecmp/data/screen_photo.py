"""screen_photo: an image as somebody photographs it from a screen.

The image is shown in display pixels of three stripes (red, green, blue) with a dark line below, and
photographed from a slight angle by a camera whose pixels do not fall on those of the display, so
that their grids make moire. Black level, reflection, vignetting, noise and JPEG follow.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgecmp.data.keyed_numbers import KeyedNumbers
from edgecmp.decoding import decode

__all__ = ["perspective", "screen_photo"]

_GAMMA = 2.2
_CELLS = 3
"""Cells per side of a display pixel: three stripes."""

_DARK_LINE = 0.3
"""Brightness of a display pixel's last row of cells."""

_FILLED = 0.8
"""Share of a camera pixel's width that collects light."""

_BEZEL = 0.004
"""Linear brightness of what is around the display."""

Corners = tuple[tuple[float, float], ...]


def screen_photo(image: Image.Image, numbers: KeyedNumbers) -> Image.Image:
    """The image, RGB of any size, as a photo of a screen that shows it."""
    longer = int(numbers.uniform("display", 230, 300))
    scale = longer / max(image.size)
    size = [max(1, round(side * scale)) for side in image.size]
    shown = image.resize((size[0], size[1]), Image.Resampling.BILINEAR)
    light = _camera(_display(shown), size, numbers)
    light = _reflected(light, numbers)
    pixels = 255 * np.clip(light, 0, 1) ** (1 / _GAMMA)
    pixels += numbers.uniform("noise", 1, 4) * numbers.noise("screen", pixels.shape)
    photo = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    stream = io.BytesIO()
    photo.save(stream, "JPEG", quality=int(numbers.uniform("quality", 40, 80)))
    return decode(stream.getvalue())


def _display(image: Image.Image) -> NDArray[np.float32]:
    """Linear light of the cells of a display that shows the image: (3 H, 3 W, 3)."""
    light = (np.asarray(image, np.float32) / 255) ** _GAMMA
    rows = np.array([1.0, 1.0, _DARK_LINE], np.float32)
    cells = np.zeros((_CELLS * image.height, _CELLS * image.width, 3), np.float32)
    for stripe in range(3):
        for row, brightness in enumerate(rows):
            cells[row::_CELLS, stripe::_CELLS, stripe] = light[..., stripe] * brightness
    return cells * np.float32(_CELLS**2 / rows.sum())  # as bright as the image, on average


def _camera(cells: NDArray[np.float32], size: list[int], numbers: KeyedNumbers) -> Any:
    """What a camera sees of the cells, in linear light: (H', W', 3)."""
    ratio = numbers.uniform("camera", 1.05, 1.45)  # camera pixels per display pixel
    across, down = (max(8, round(side * ratio)) for side in size)
    blurred = _collected(cells, _FILLED * _CELLS / ratio)
    height, width = cells.shape[:2]
    turn = math.radians(numbers.uniform("turn", -4, 4))
    cos, sin = math.cos(turn), math.sin(turn)
    corners = []
    for name, x, y in (("a", -1, -1), ("b", 1, -1), ("c", 1, 1), ("d", -1, 1)):
        part = numbers.uniform(f"corner {name}", 0.97, 1.07)  # above 1: beyond the display's edge
        right, below = x * part * width / 2, y * part * height / 2
        right, below = cos * right - sin * below, sin * right + cos * below
        corners.append((width / 2 + right, height / 2 + below))
    planes = [
        perspective(Image.fromarray(blurred[..., channel]), (across, down), tuple(corners), _BEZEL)
        for channel in range(3)
    ]
    return np.stack([np.asarray(plane) for plane in planes], -1)


def perspective(
    image: Image.Image, size: tuple[int, int], corners: Corners, outside: float | None = None
) -> Image.Image:
    """The content of a quadrilateral of the image as a rectangle.

    Args:
        image: of any mode.
        size: width and height of the result.
        corners: x and y in the image of the result's corners: upper left, upper right, lower right
            and lower left.
        outside: what is outside the image; None: black.
    """
    width, height = size
    targets = ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
    rows, values = [], []
    for (x, y), (u, v) in zip(targets, corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -x * u, -y * u], [0, 0, 0, x, y, 1, -x * v, -y * v]]
        values += [u, v]
    coefficients = np.linalg.solve(np.array(rows, np.float64), np.array(values, np.float64))
    return image.transform(
        size,
        Image.Transform.PERSPECTIVE,
        coefficients.tolist(),
        Image.Resampling.BILINEAR,
        fillcolor=outside,
    )


def _collected(light: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    """The mean over squares of `width` cells, 1 to 3, around each cell: what a pixel collects."""
    beside = np.float32((width - 1) / (2 * width))
    for _ in range(2):  # down, then across
        sums = light / np.float32(width)
        sums[1:] += beside * light[:-1]
        sums[:-1] += beside * light[1:]
        light = sums.swapaxes(0, 1)
    return light


def _reflected(light: NDArray[np.float32], numbers: KeyedNumbers) -> Any:
    """The light with the display's black level and tint, a reflection, and darker corners."""
    height, width = light.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = (x + 0.5) / width - 0.5, (y + 0.5) / height - 0.5
    right, below = (numbers.uniform(name, -0.5, 0.5) for name in ("reflection x", "reflection y"))
    size = numbers.uniform("reflection size", 0.2, 0.5)
    spot = np.exp(-((x - right) ** 2 + (y - below) ** 2) / (2 * size**2))
    corners = 1 - numbers.uniform("corners", 0.2, 0.7) * (x**2 + y**2)
    blue = numbers.uniform("tint", -0.02, 0.14)
    tint = np.array([1 - blue, 1, 1 + blue], np.float32) * numbers.uniform("exposure", 0.6, 0.95)
    seen = (0.006 + light * tint) * corners[..., None]
    return seen + (numbers.uniform("reflection", 0.0, 0.18) * spot)[..., None]
