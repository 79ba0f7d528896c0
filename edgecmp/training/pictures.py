"""Pictures: each original decoded once and prepared twice, for the phone and for the gallery model.

The frames that both networks read are cut from the same original around the same centre, except for
the rounding of half a pixel that `Placement` has. So a change that is drawn for the phone's frame
can be applied in the gallery model's, see `Draws.apply_to`. A gallery model that reads the centre
of an image gets as much of the original around it as a rotation or a shift may bring in.
"""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from edgecmp.data.image_set import ImageSet, Pixels
from edgecmp.decoding import flat
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import progress
from edgecmp.training.augment import Augmentation
from edgecmp.training.draws import Frames

__all__ = ["PICTURE_BYTES", "Picture", "PictureStore", "TwoFrames", "canvas_of"]

PICTURE_BYTES = 2 * 2**30
"""Memory for the gallery model's pictures; those that do not fit are decoded for each batch."""

_THREADS = min(4, os.cpu_count() or 1)

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Picture:
    """One original, resized for the gallery model and not cut to its frame.

    Attributes:
        pixels: uint8 (h, w, 3).
        left: column of the frame at which it begins, may be negative.
        top: row of the frame at which it begins, may be negative.
        across: scale and shift of the frame's columns in the phone's frame, see `Frames`.
        down: the same of its rows.
    """

    pixels: Pixels
    left: int
    top: int
    across: tuple[float, float]
    down: tuple[float, float]


@dataclass(frozen=True, slots=True)
class TwoFrames:
    """How originals are prepared for the phone and for the gallery model.

    Args:
        phone: preprocessing of the query network.
        teacher: preprocessing of the gallery model.
        augmentation: the strongest changes, which decide how much around the frame is kept.
    """

    phone: Preprocessing
    teacher: Preprocessing
    augmentation: Augmentation

    def picture(self, original: Image.Image) -> Picture:
        """An original as the gallery model needs it."""
        teacher = self.teacher
        upright = flat(original, teacher.background)
        placement = teacher.placement(*upright.size)
        across, down = self._between(*upright.size)
        pixels = np.asarray(placement.resized(upright, teacher.filter))
        left, top = placement.corner
        side = max(scale + abs(shift) for scale, shift in (across, down))
        reach = self.augmentation.reach(side)
        first, last = _columns(across, placement.frame[0], reach, left, pixels.shape[1])
        upper, lower = _columns(down, placement.frame[1], reach, top, pixels.shape[0])
        return Picture(
            np.ascontiguousarray(pixels[upper:lower, first:last]),
            left + first,
            top + upper,
            across,
            down,
        )

    def frames(self, pictures: Sequence[Picture], turns: Tensor | None = None) -> Frames:
        """Where the frames of these pictures lie in the phone's.

        Args:
            pictures: N pictures.
            turns: (N, 2, 2), see `Frames`; None: none.
        """
        places = torch.tensor([[*picture.across, *picture.down] for picture in pictures])
        return Frames(
            size=self.teacher.size,
            first=self.phone.size,
            scales=places[:, 0::2],
            shifts=places[:, 1::2],
            turns=torch.eye(2).expand(len(places), 2, 2) if turns is None else turns,
        )

    def _between(self, width: int, height: int) -> tuple[tuple[float, float], tuple[float, float]]:
        """Scale m and shift o, across and down, of u = m v + o between points in -1..1.

        Here v is a point of the gallery model's frame and u the same point of the original in the
        phone's frame.
        """
        mine = self.phone.placement(width, height)
        theirs = self.teacher.placement(width, height)

        def along(axis: int) -> tuple[float, float]:
            length, my_length = theirs.frame[axis], mine.frame[axis]
            ratio = mine.scales[axis] / theirs.scales[axis]
            centre = ratio * (length / 2 - theirs.origin[axis]) + mine.origin[axis]
            return ratio * length / my_length, 2 * centre / my_length - 1

        return along(0), along(1)


@dataclass(slots=True)
class PictureStore:
    """The pictures of the training images; a bounded number stays in memory.

    Args:
        images: the training images.
        frames: how they are prepared.
        limit: memory in bytes, which is filled in the order of first use.
    """

    images: ImageSet
    frames: TwoFrames
    limit: int = PICTURE_BYTES
    _kept: dict[int, Picture] = field(default_factory=dict)
    _bytes: int = 0

    def prepared(self) -> Pixels:
        """All images for the phone, (N, S, S, 3) uint8; as many pictures as fit are kept."""
        pixels = np.empty((len(self.images), *self.frames.phone.shape), np.uint8)
        title = "Preparing images for both networks"
        with progress(title, total=len(pixels), unit="image") as bar:
            for start in range(0, len(pixels), 256):
                indices = range(start, min(start + 256, len(pixels)))
                pixels[start : indices.stop], pictures = self.both(indices)
                for index, picture in zip(indices, pictures, strict=True):
                    self._keep(index, picture)
                bar.advance(len(indices))
        return pixels

    def both(self, indices: Sequence[int]) -> tuple[Pixels, list[Picture]]:
        """Some images, each decoded once: for the phone, (n, S, S, 3) uint8, and the pictures."""
        phone = self.frames.phone

        def prepare(index: int) -> tuple[Pixels, Picture]:
            original = self._original(index)
            return phone.fit(original), self.frames.picture(original)

        prepared = _in_threads(prepare, indices)
        return np.stack([pixels for pixels, _ in prepared]), [picture for _, picture in prepared]

    def of(self, indices: Sequence[int]) -> list[Picture]:
        """The pictures of some images."""
        missing = [index for index in indices if index not in self._kept]
        made = dict(zip(missing, _in_threads(self._made, missing), strict=True))
        for index, picture in made.items():
            self._keep(index, picture)
        return [made[index] if index in made else self._kept[index] for index in indices]

    def _made(self, index: int) -> Picture:
        return self.frames.picture(self._original(index))

    def _original(self, index: int) -> Image.Image:
        return self.images.source.image(int(self.images.rows[index]))

    def _keep(self, index: int, picture: Picture) -> None:
        if self._bytes + picture.pixels.nbytes <= self.limit:
            self._bytes += picture.pixels.nbytes
            self._kept[index] = picture


def canvas_of(
    pictures: Sequence[Picture],
    size: tuple[int, int],
    background: tuple[int, int, int],
) -> Tensor:
    """Pictures on backgrounds of one size, whose centres are those of the frames.

    Args:
        pictures: N pictures.
        size: height and width of the frames.
        background: red, green and blue.

    Returns:
        uint8 (N, H + 2 m, W + 2 n, 3), with the margins m and n that the pictures need.
    """
    high, wide = size
    aside = max(max(0, -one.left, one.left + one.pixels.shape[1] - wide) for one in pictures)
    above = max(max(0, -one.top, one.top + one.pixels.shape[0] - high) for one in pictures)
    canvas = np.empty((len(pictures), high + 2 * above, wide + 2 * aside, 3), np.uint8)
    canvas[:] = np.array(background, np.uint8)
    for ground, one in zip(canvas, pictures, strict=True):
        h, w = one.pixels.shape[:2]
        top, left = above + one.top, aside + one.left
        ground[top : top + h, left : left + w] = one.pixels
    return torch.from_numpy(canvas)


def _columns(
    place: tuple[float, float], length: int, reach: float, begin: int, extent: int
) -> tuple[int, int]:
    """The first and the last column, exclusive, of a resized image that changes may show.

    Args:
        place: scale and shift of the frame in the phone's.
        length: of the frame, in pixels.
        reach: see `Augmentation.reach`.
        begin: column of the frame at which the resized image begins.
        extent: number of its columns.
    """
    scale, shift = place
    beyond = (reach + abs(shift)) / scale * length / 2  # from the centre of the frame
    first = math.floor(length / 2 - beyond) - 1 - begin
    last = math.ceil(length / 2 + beyond) + 1 - begin
    return max(0, min(first, extent - 1)), min(extent, max(last, 1))


def _in_threads(make: Callable[[int], Made], indices: Sequence[int]) -> list[Made]:
    """What `make` returns for each index; Pillow decodes and resizes outside of Python's lock."""
    if len(indices) < 2 or multiprocessing.parent_process() is not None:  # one of several workers
        return [make(index) for index in indices]
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(make, indices))
