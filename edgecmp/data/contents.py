"""Contents: what images show, by which copies of an image are found under any name.

An exact copy has the same pixels, or comes from a file of the same bytes. A near copy is the same
picture in another size or compression: shrunk to 16 x 16 pixels, the two differ by a root mean
square of at most `NEAR` of 255 levels. Of 1,500 emoji no two are that near (the nearest are 5.6
apart), and 95 of 100 copies as JPEG of quality 75 in the same size are (4.7 apart).
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from edgecmp.data.image_set import ImageSet, Integers, Pixels
from edgecmp.decoding import flat
from edgecmp.files import sha256_file
from edgecmp.progress import progress

__all__ = ["NEAR", "Contents", "contents_of"]

NEAR = 5.0
"""The largest root mean square difference of two near copies, of 255 levels."""

_SIDE = 16
_AT_ONCE = 2048
_WORKERS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What N images show.

    Attributes:
        digests: (N,) int64, a hash of the size and the pixels of each image.
        files: (N,) int64, a hash of each image's file; -1 if it has no file of its own.
        small: (N, 768) uint8, the images at 16 x 16 pixels.
        sizes: (N, 2) int64, width and height in pixels.
    """

    digests: Integers
    files: Integers
    small: Integers
    sizes: Integers

    def __len__(self) -> int:
        return len(self.digests)

    def subset(self, rows: Integers) -> Contents:
        """The images of `rows`, which are indices or a mask."""
        return Contents(
            digests=self.digests[rows],
            files=self.files[rows],
            small=self.small[rows],
            sizes=self.sizes[rows],
        )

    def joined(self, other: Contents) -> Contents:
        """These images and then the others."""
        return Contents(
            digests=np.concatenate([self.digests, other.digests]),
            files=np.concatenate([self.files, other.files]),
            small=np.concatenate([self.small, other.small]),
            sizes=np.concatenate([self.sizes, other.sizes]),
        )

    def exact_in(self, others: Contents) -> Integers:
        """(N,) bool: whether the others have an exact copy of each image."""
        known = others.files[others.files != -1]
        copies: Integers = np.isin(self.digests, others.digests) | np.isin(self.files, known)
        return copies

    def nearest_in(self, others: Contents) -> tuple[Integers, Integers]:
        """The most similar of M other images.

        Returns:
            (N,) the index of the nearest, 0 if there is none, and (N,) the root mean square
            difference to it in levels, infinite if there is none.
        """
        places = np.zeros(len(self), np.int64)
        found = np.full(len(self), np.inf, np.float32)
        for first in range(0, len(others), _AT_ONCE):
            theirs = _centred(others.small[first : first + _AT_ONCE])
            lengths = np.square(theirs).sum(1)
            for start in range(0, len(self), _AT_ONCE):
                mine = _centred(self.small[start : start + _AT_ONCE])
                squares = np.square(mine).sum(1)[:, None] + lengths - 2 * mine @ theirs.T
                nearest = squares.argmin(1)
                least = squares[np.arange(len(mine)), nearest].clip(0)
                differences = np.sqrt(least / mine.shape[1])
                rows = slice(start, start + len(mine))
                nearer = differences < found[rows]
                places[rows] = np.where(nearer, nearest + first, places[rows])
                found[rows] = np.where(nearer, differences, found[rows])
        return places, found


def contents_of(images: ImageSet) -> Contents:
    """Reads every image once, in its own size.

    Raises:
        UserError: an image cannot be read.
    """
    count = len(images)
    digests, files = np.zeros(count, np.int64), np.full(count, -1, np.int64)
    small = np.zeros((count, 3 * _SIDE**2), np.uint8)
    sizes = np.zeros((count, 2), np.int64)

    def look(place: int) -> None:
        row = int(images.rows[place])
        image = flat(images.source.image(row))
        pixels: Pixels = np.asarray(image)
        digests[place] = _number(hashlib.sha256(f"{image.size}".encode() + pixels.tobytes()))
        if (file := images.source.file(row)) is not None:
            files[place] = int(sha256_file(file)[:15], 16)
        shrunk = image.resize((_SIDE, _SIDE), Image.Resampling.BOX)
        small[place] = np.asarray(shrunk).ravel()
        sizes[place] = image.size

    with (
        progress("Comparing images", total=count, unit="image") as bar,
        ThreadPoolExecutor(_WORKERS) as pool,
    ):
        for _ in pool.map(look, range(count)):
            bar.advance()
    return Contents(digests=digests, files=files, small=small, sizes=sizes)


def _centred(small: Integers) -> Integers:
    """Levels as float32 around 0, so that their squares are exact to a fraction of a level."""
    levels: Integers = small.astype(np.float32) - 128
    return levels


def _number(digest: hashlib._Hash) -> int:
    """The first 60 bits of a hash, which are never -1."""
    return int(digest.hexdigest()[:15], 16)
