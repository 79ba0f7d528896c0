"""Draws: the random changes of a batch of images, drawn once and applied at any image size."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Draws", "Frames"]

WHITE = (255, 255, 255)
SMALLEST, VARYING = 0.1, 0.25
"""An erased rectangle has this share of a side, and up to `VARYING` more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Frames:
    """Where the frames that a second network reads lie in those of the first, image by image.

    Both are cut from the same originals, and a point is in -1..1 in its frame, across and down. The
    point `v` of the second frame is the point `turns (scales v + shifts)` of the first; `turns`
    are quarter turns and mirrorings of what the first shows.

    Attributes:
        size: height and width of the second frame, in pixels.
        first: height and width of the first.
        scales: (N, 2).
        shifts: (N, 2).
        turns: (N, 2, 2).
    """

    size: tuple[int, int]
    first: tuple[int, int]
    scales: Tensor
    shifts: Tensor
    turns: Tensor

    def points(self) -> Tensor:
        """The points of the first frames that the second's pixels show, (N, H, W, 2)."""
        rows, columns = (
            (2 * torch.arange(length) + 1) / length - 1 for length in self.size
        )  # centres of pixels
        across = self.scales[:, :1] * columns + self.shifts[:, :1]  # (N, W)
        down = self.scales[:, 1:] * rows + self.shifts[:, 1:]  # (N, H)
        height, width = self.size
        both = torch.stack(
            [
                across[:, None, :].expand(-1, height, -1),
                down[:, :, None].expand(-1, -1, width),
            ],
            3,
        )
        return torch.einsum("nij,nhwj->nhwi", self.turns, both)


@dataclass(frozen=True, kw_only=True, slots=True)
class Draws:
    """The changes of N images: geometry, colours, and an erased rectangle.

    Attributes:
        affine: (N, 2, 3), from a point of a changed image to the point that it shows, in -1..1.
        colour: (N, 3, 3), of the channels' differences from 128.
        offset: (N, 1, 1), what is added to them, 128 included.
        extents: (N, 2) of the erased rectangle, 0..1, for rows and columns.
        starts: (N, 2) of where it begins, 0..1.
        erased: (N,) bool: whether there is one.
        fill: (N, 3) its colour, 0..1.
    """

    affine: Tensor
    colour: Tensor
    offset: Tensor
    extents: Tensor
    starts: Tensor
    erased: Tensor
    fill: Tensor

    def __len__(self) -> int:
        return len(self.affine)

    def of(self, rows: Tensor | slice) -> Draws:
        """The changes of some of the images."""
        return Draws(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def apply(self, images: Tensor) -> Tensor:
        """The changed images.

        Args:
            images: uint8 (N, H, W, 3).

        Returns:
            Float32 (N, 3, H, W) in 0..255.
        """
        size = (images.shape[1], images.shape[2])
        x = self._coloured(_sampled(images, self.affine, size, WHITE))
        rows, columns = (torch.arange(length)[None] for length in size)
        inside = self._between(rows, 0, size[0])[:, :, None]
        return self._filled(x, inside & self._between(columns, 1, size[1])[:, None, :])

    def apply_to(self, images: Tensor, frames: Frames, background: tuple[int, int, int]) -> Tensor:
        """The same changes of the same originals, in the frames of a second network.

        Rotation and zoom carry over, shifts scale with the ratio of the frames, and an erased
        rectangle covers the same part of the original.

        Args:
            images: uint8 (N, Y, X, 3): the second frames with as much of the originals around them
                as the changes may bring in; both have the same centres.
            frames: of the second network.
            background: red, green and blue, 0..255, outside of the images.

        Returns:
            Float32 (N, 3, H, W) in 0..255, of the size of the frames.
        """
        high, wide = frames.size
        shown = torch.tensor([wide / images.shape[2], high / images.shape[1]])
        linear = self.affine[:, :, :2] @ frames.turns  # of points of the first frame
        shifted = torch.einsum("nij,nj->ni", linear, frames.shifts) + self.affine[:, :, 2]
        back = (shown / frames.scales)[:, :, None]
        theta = back * torch.cat(
            [linear * frames.scales[:, None, :], (shifted - frames.shifts)[:, :, None]], 2
        )
        x = self._coloured(_sampled(images, theta, frames.size, background))
        if not self.erased.any():
            return x
        points = frames.points()  # (N, H, W, 2)
        inside = torch.ones(points.shape[:3], dtype=torch.bool)
        for axis, length in enumerate(frames.first):
            pixels = ((points[..., 1 - axis] + 1) / 2 * length).floor_()  # of the first network
            inside &= self._between(pixels.flatten(1), axis, length).view_as(inside)
        return self._filled(x, inside)

    def _coloured(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) in 0..255 with other colours."""
        changed = torch.bmm(self.colour, x.flatten(2) - 128.0) + self.offset
        return changed.view_as(x).clamp_(0.0, 255.0)

    def _between(self, pixels: Tensor, axis: int, length: int) -> Tensor:
        """Whether rows (axis 0) or columns (axis 1) of pixels, (1 or N, P), are erased: (N, P)."""
        extent = (SMALLEST + VARYING * self.extents[:, axis]) * length
        start = self.starts[:, axis] * (length - extent)
        return (pixels >= start[:, None]) & (pixels < (start + extent)[:, None])

    def _filled(self, x: Tensor, inside: Tensor) -> Tensor:
        """Images (N, 3, H, W) with their rectangles (N, H, W) filled."""
        mask = inside[:, None] & self.erased[:, None, None, None]
        return torch.where(mask, self.fill[:, :, None, None] * 255.0, x)


def _sampled(
    images: Tensor, theta: Tensor, size: tuple[int, int], background: tuple[int, int, int]
) -> Tensor:
    """Images (N, Y, X, 3) at the points of an affine map (N, 2, 3): (N, 3, H, W) in 0..255."""
    outside = torch.tensor(background, dtype=torch.float32)[:, None, None]
    x = images.permute(0, 3, 1, 2).float() - outside  # so that the background is 0, as padding is
    grid = F.affine_grid(theta, [len(images), 3, *size], align_corners=False)
    return F.grid_sample(x, grid, "bilinear", "zeros", align_corners=False) + outside
