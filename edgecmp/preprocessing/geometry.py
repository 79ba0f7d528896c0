"""How an image of any size becomes one of a fixed size: padded, cropped or stretched."""

from __future__ import annotations

from typing import Literal, TypeAlias

from PIL import Image

__all__ = ["Filter", "Geometry", "cropped", "padded", "stretched"]

Geometry: TypeAlias = Literal["pad", "crop", "stretch"]
Filter: TypeAlias = Literal["bilinear", "bicubic"]

FILTERS: dict[Filter, Image.Resampling] = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
"""Pillow's filters; they are antialiased when an image shrinks."""

LONGEST = 16
"""An image whose sides have a larger ratio is cut to this one before it is resized for a crop."""


def padded(
    image: Image.Image, height: int, width: int, filter: Filter, background: tuple[int, int, int]
) -> Image.Image:
    """The complete image in the centre of the background, as large as it fits."""
    scale = min(width / image.width, height / image.height)
    across, down = (max(1, round(length * scale)) for length in image.size)
    resized = image.resize((across, down), FILTERS[filter])
    whole = Image.new("RGB", (width, height), background)
    whole.paste(resized, ((width - across) // 2, (height - down) // 2))
    return whole


def cropped(
    image: Image.Image, height: int, width: int, filter: Filter, short_side: int
) -> Image.Image:
    """The centre of the image after its shorter side was resized to `short_side`.

    The longer side and the corner of the crop are rounded as torchvision's `Resize` and
    `CenterCrop` round them, which CLIP and timm use.

    Args:
        image: of any size.
        height: of the crop, in pixels.
        width: of the crop, in pixels.
        filter: of the resizing.
        short_side: in pixels, at least `height` and `width`.
    """
    image = _not_too_long(image)
    shorter, longer = sorted(image.size)
    long_side = int(short_side * longer / shorter)
    across = (short_side, long_side) if image.width <= image.height else (long_side, short_side)
    resized = image.resize(across, FILTERS[filter])
    left = round((resized.width - width) / 2)
    top = round((resized.height - height) / 2)
    return resized.crop((left, top, left + width, top + height))


def stretched(image: Image.Image, height: int, width: int, filter: Filter) -> Image.Image:
    """The complete image resized to the height and the width, whatever its aspect ratio."""
    return image.resize((width, height), FILTERS[filter])


def _not_too_long(image: Image.Image) -> Image.Image:
    """The middle of a very long image: a complete resized one could take gigabytes."""
    shorter, longer = sorted(image.size)
    if longer <= LONGEST * shorter:
        return image
    cut = (longer - LONGEST * shorter) // 2
    if image.width > image.height:
        return image.crop((cut, 0, longer - cut, shorter))
    return image.crop((0, cut, shorter, longer - cut))
