"""ImageSet: labelled images with their source, identities and domains."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from PIL import Image

from edgecmp.preprocessing import Preprocessing

__all__ = ["ImageSet", "ImageSource", "Integers", "Pixels"]

Pixels: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
Integers: TypeAlias = np.ndarray[Any, np.dtype[Any]]


class ImageSource(Protocol):
    """Images by row number, decoded on demand."""

    @property
    def keys(self) -> tuple[str, ...]:
        """A stable, readable id of each image, such as its path."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the content of all images."""

    @property
    def shards(self) -> Integers | None:
        """(N,) index of the large file that contains each image: reading file by file is fast.

        None if the order of reading does not matter.
        """

    def pixels(self, rows: Integers, preprocessing: Preprocessing) -> Pixels:
        """The images of `rows` (n,), prepared: (n, H, W, 3) uint8."""

    def file(self, row: int) -> Path | None:
        """The file of one image; None if the images are not stored in a file each."""

    def image(self, row: int) -> Image.Image:
        """One image before any preprocessing: upright, cropped to its box."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSet:
    """N labelled images.

    Args:
        name: the name of the set in messages and reports.
        identities: (N,) int64, indices into `identity_names`; -1 for images without labels.
        identity_names: the identities.
        domains: (N,) int16, indices into `domain_names`.
        domain_names: the domains ("shop" and "user", or vendors); ("",) if there are none.
        source: where the pixels come from.
        rows: (N,) int64, the row of each image in `source`.
        cameras: (N,) the number of the camera that took each image; None if the data has none.
    """

    name: str
    identities: Integers
    identity_names: tuple[str, ...]
    domains: Integers
    domain_names: tuple[str, ...]
    source: ImageSource
    rows: Integers
    cameras: Integers | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def pixels(
        self, preprocessing: Preprocessing, indices: Integers | Sequence[int] | None = None
    ) -> Pixels:
        """The prepared images of `indices` (all by default): (n, H, W, 3) uint8.

        All of them are in memory at once; see `batches` for large sets.
        """
        rows = self.rows if indices is None else self.rows[np.asarray(indices, np.int64)]
        return self.source.pixels(rows, preprocessing)

    def batches(self, preprocessing: Preprocessing, at_once: int = 1024) -> Iterator[Pixels]:
        """All prepared images in order, at most `at_once` of them in memory at a time."""
        for start in range(0, len(self), at_once):
            yield self.source.pixels(self.rows[start : start + at_once], preprocessing)

    @property
    def keys(self) -> tuple[str, ...]:
        """A stable, readable id of each image."""
        keys = self.source.keys
        return tuple(keys[row] for row in self.rows)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the source's content and the keys, labels and cameras of the set."""
        digest = hashlib.sha256(self.source.fingerprint.encode())
        for key, identity, domain in zip(self.keys, self.identities, self.domains, strict=True):
            name = self.identity_names[identity] if identity >= 0 else ""
            names = f"{name}\t{self.domain_names[domain]}"
            digest.update(f"{key}\t{names}\n".encode())
        if self.cameras is not None:
            digest.update(self.cameras.astype(np.int64).tobytes())
        return digest.hexdigest()

    def subset(self, indices: Integers | Sequence[int]) -> ImageSet:
        """The images of `indices`, in that order, with the same labels."""
        chosen = np.asarray(indices)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        return replace(
            self,
            identities=self.identities[chosen],
            domains=self.domains[chosen],
            rows=self.rows[chosen],
            cameras=None if self.cameras is None else self.cameras[chosen],
        )

    def relabelled(self) -> ImageSet:
        """The same images with identities 0..K-1 without gaps, as the labels of a classifier."""
        present, labels = np.unique(self.identities, return_inverse=True)
        return replace(
            self,
            identities=labels.astype(np.int64),
            identity_names=tuple(self.identity_names[identity] for identity in present),
        )
