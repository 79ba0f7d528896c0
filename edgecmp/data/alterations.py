"""altered: an image as another photo of it might look, as a query where there is no such photo.

Each image is altered in one of five ways, which follows from its key: cropped, out of focus, in
other light, from another angle, or photographed from a screen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from edgecmp.data.keyed_numbers import KeyedNumbers
from edgecmp.data.screen_photo import perspective, screen_photo
from edgecmp.decoding import flat

__all__ = ["ALTERATIONS", "LONGEST_SIDE", "alteration_of", "altered"]

LONGEST_SIDE = 1024
"""In pixels; a larger image is shrunk to it before it is altered."""

_GAMMA = 2.2


def _crop(image: Image.Image, numbers: KeyedNumbers) -> Image.Image:
    """A part of 55 to 80 % of each side."""
    spans = []
    for axis, side in zip("xy", image.size, strict=True):
        kept = max(1, round(side * numbers.uniform(f"size {axis}", 0.55, 0.8)))
        start = round((side - kept) * numbers.uniform(f"place {axis}", 0, 1))
        spans.append((start, start + kept))
    (left, right), (upper, lower) = spans
    return image.crop((left, upper, right, lower))


def _blur(image: Image.Image, numbers: KeyedNumbers) -> Image.Image:
    """Gaussian blur of a standard deviation of 0.8 to 2 % of the longer side."""
    radius = max(image.size) * numbers.uniform("radius", 0.008, 0.02)
    return image.filter(ImageFilter.GaussianBlur(max(0.5, radius)))


def _light(image: Image.Image, numbers: KeyedNumbers) -> Image.Image:
    """Exposure by -1.5 to 1 stops, warmer or colder, darker towards one side, and noise."""
    linear = (np.asarray(image, np.float32) / 255) ** _GAMMA
    stops, warmth = numbers.uniform("stops", -1.5, 1), numbers.uniform("warmth", -0.3, 0.3)
    gains = 2**stops * np.array([1 + warmth, 1, 1 - warmth], np.float32)
    angle = numbers.uniform("angle", 0, 2 * math.pi)
    y, x = (
        np.linspace(-0.5, 0.5, side, dtype=np.float32) if side > 1 else np.zeros(1, np.float32)
        for side in linear.shape[:2]
    )
    across = math.cos(angle) * x[None, :] + math.sin(angle) * y[:, None]  # -0.71..0.71
    shade = 1 - numbers.uniform("shade", 0.2, 0.7) * (across / math.sqrt(2) + 0.5)
    return _image(255 * (linear * gains * shade[..., None]) ** (1 / _GAMMA), numbers, 3 - 2 * stops)


def _angle(image: Image.Image, numbers: KeyedNumbers) -> Image.Image:
    """What a quadrilateral contains whose corners are 2 to 18 % inside the image's."""
    width, height = image.size
    corners = []
    for name, x, y in (("a", 0, 0), ("b", 1, 0), ("c", 1, 1), ("d", 0, 1)):
        right, below = (numbers.uniform(f"{axis} of {name}", 0.02, 0.18) for axis in "xy")
        corners.append((width * abs(x - right), height * abs(y - below)))
    return perspective(image, image.size, tuple(corners))


ALTERATIONS: Mapping[str, Callable[[Image.Image, KeyedNumbers], Image.Image]] = {
    "crop": _crop,
    "blur": _blur,
    "light": _light,
    "perspective": _angle,
    "screen capture": screen_photo,
}
"""The five alterations by name; each takes an RGB image and the numbers of its key."""


def alteration_of(key: str) -> str:
    """The name of the alteration of an image."""
    return tuple(ALTERATIONS)[KeyedNumbers(key).choice("alteration", len(ALTERATIONS))]


def altered(image: Image.Image, key: str) -> Image.Image:
    """The altered image, RGB, of at most `LONGEST_SIDE` pixels on its longer side.

    Args:
        image: as `edgecmp.decoding.decode` returns it; transparent pixels become white.
        key: of the image; the same key and image always have the same result.
    """
    plain = flat(image)
    if max(plain.size) > LONGEST_SIDE:
        scale = LONGEST_SIDE / max(plain.size)
        width, height = (max(1, round(side * scale)) for side in plain.size)
        plain = plain.resize((width, height), Image.Resampling.BILINEAR)
    return ALTERATIONS[alteration_of(key)](plain, KeyedNumbers(key))


def _image(pixels: NDArray[Any], numbers: KeyedNumbers, noise: float) -> Image.Image:
    """Values in 0..255 as an image, with noise of that standard deviation."""
    noisy = pixels + noise * numbers.noise("noise", pixels.shape)
    return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
