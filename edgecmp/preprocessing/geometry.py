"""How an image of any size becomes one of a fixed size: padded, cropped or stretched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from PIL import Image

__all__ = ["Box", "Filter", "Geometry", "Placement", "cropped", "padded", "stretched"]

Geometry: TypeAlias = Literal["pad", "crop", "stretch"]
Filter: TypeAlias = Literal["bilinear", "bicubic"]
Box: TypeAlias = tuple[int, int, int, int]
"""Left, upper, right and lower side of a part of an image, in pixels."""

FILTERS: dict[Filter, Image.Resampling] = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
"""Pillow's filters; they are antialiased when an image shrinks."""

LONGEST = 16
"""An image whose sides have a larger ratio is cut to this one before it is resized for a crop."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Where an image lies in the frame of fixed size that a network reads.

    All pairs are across and down, in pixels.

    Attributes:
        frame: width and height of the frame.
        used: the part of the original that is resized.
        size: width and height of the resized image.
        corner: the upper left corner of the resized image in the frame; negative where the frame
            cuts the image off.
    """

    frame: tuple[int, int]
    used: Box
    size: tuple[int, int]
    corner: tuple[int, int]

    @property
    def scales(self) -> tuple[float, float]:
        """Pixels of the frame per pixel of the original."""
        left, upper, right, lower = self.used
        return self.size[0] / (right - left), self.size[1] / (lower - upper)

    @property
    def origin(self) -> tuple[float, float]:
        """The upper left corner of the original in the frame."""
        across, down = self.scales
        return self.corner[0] - self.used[0] * across, self.corner[1] - self.used[1] * down

    def resized(self, image: Image.Image, filter: Filter) -> Image.Image:
        """The original at `size`, not yet cut to the frame."""
        if self.used != (0, 0, *image.size):
            image = image.crop(self.used)
        return image.resize(self.size, FILTERS[filter])

    def framed(
        self, image: Image.Image, filter: Filter, background: tuple[int, int, int]
    ) -> Image.Image:
        """The original in its frame."""
        resized = self.resized(image, filter)
        if (self.size, self.corner) == (self.frame, (0, 0)):
            return resized
        whole = Image.new("RGB", self.frame, background)
        whole.paste(resized, self.corner)
        return whole


def padded(size: tuple[int, int], frame: tuple[int, int]) -> Placement:
    """The complete image in the centre of the background, as large as it fits.

    Args:
        size: width and height of the image.
        frame: width and height of the frame.
    """
    scale = min(frame[0] / size[0], frame[1] / size[1])
    across, down = (max(1, round(length * scale)) for length in size)
    return Placement(
        frame=frame,
        used=(0, 0, *size),
        size=(across, down),
        corner=((frame[0] - across) // 2, (frame[1] - down) // 2),
    )


def cropped(size: tuple[int, int], frame: tuple[int, int], short_side: int) -> Placement:
    """The centre of the image after its shorter side was resized to `short_side`.

    The longer side and the corner of the crop are rounded as torchvision's `Resize` and
    `CenterCrop` round them, which CLIP and timm use.

    Args:
        size: width and height of the image.
        frame: width and height of the crop.
        short_side: in pixels, at least both sides of the frame.
    """
    used = _not_too_long(size)
    wide, high = used[2] - used[0], used[3] - used[1]
    shorter, longer = sorted((wide, high))
    long_side = int(short_side * longer / shorter)
    across, down = (short_side, long_side) if wide <= high else (long_side, short_side)
    return Placement(
        frame=frame,
        used=used,
        size=(across, down),
        corner=(-round((across - frame[0]) / 2), -round((down - frame[1]) / 2)),
    )


def stretched(size: tuple[int, int], frame: tuple[int, int]) -> Placement:
    """The complete image in the complete frame, whatever its aspect ratio."""
    return Placement(frame=frame, used=(0, 0, *size), size=frame, corner=(0, 0))


def _not_too_long(size: tuple[int, int]) -> Box:
    """The middle of a very long image: a complete resized one could take gigabytes."""
    width, height = size
    shorter, longer = sorted(size)
    if longer <= LONGEST * shorter:
        return (0, 0, width, height)
    cut = (longer - LONGEST * shorter) // 2
    return (cut, 0, width - cut, height) if width > height else (0, cut, width, height - cut)
