"""with_altered_queries: a retrieval task for images of which no two show the same thing.

Each image of the hold-out and of the test stays in the gallery, and an altered copy of it (see
`edgecmp.data.alterations`) is the query that has to find it. What such queries measure is how well
a network sees through those alterations, not how well it recognises a thing in another photo, so
`Dataset.queries_note` is said wherever their figures are shown.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from edgecmp.data.alterations import ALTERATIONS, alteration_of, altered
from edgecmp.data.dataset import Dataset
from edgecmp.data.image_set import ImageSet, ImageSource, Integers, Pixels
from edgecmp.data.prepared_cache import PreparedCache
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import say

__all__ = [
    "ALTERED",
    "ORIGINAL",
    "QUERIES_NOTE",
    "AlteredImages",
    "originals",
    "with_altered_queries",
]

ORIGINAL, ALTERED = "original", "altered copy"
"""The domains of the gallery images and of the queries."""

QUERIES_NOTE = (
    f"The queries are altered copies of the gallery images ({', '.join(ALTERATIONS)}), not other "
    "photos of the same things."
)

_CACHE_BYTES = 128 * 2**20

_METHOD = "altered copies/1"
"""Identifies how the copies are made."""


@dataclass(frozen=True, slots=True, eq=False)
class AlteredImages:
    """Row N + row is the altered copy of row `row` of N `originals`, whose own rows stay.

    Copies are made of the images before any preprocessing.
    """

    originals: ImageSource
    _cache: PreparedCache = field(default_factory=lambda: PreparedCache(_CACHE_BYTES))

    @property
    def keys(self) -> tuple[str, ...]:
        """Those of the images, and of the copies: "a.jpg, altered by blur"."""
        return _keys(self.originals.keys)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the images' fingerprint and of the method of altering."""
        return hashlib.sha256(f"{self.originals.fingerprint}\n{_METHOD}".encode()).hexdigest()

    @property
    def shards(self) -> Integers | None:
        """The shard of each image and of the original of each copy."""
        shards = self.originals.shards
        return None if shards is None else np.tile(shards, 2)

    def pixels(self, rows: Integers, preprocessing: Preprocessing) -> Pixels:
        """The images of `rows` (n,), prepared: (n, H, W, 3) uint8."""
        copies = rows >= len(self.originals.keys)
        images = np.empty((len(rows), *preprocessing.shape), np.uint8)
        if copies.any():
            images[copies] = self._cache.pixels(
                rows[copies], preprocessing, lambda row: preprocessing.fit(self.image(row))
            )
        if not copies.all():
            images[~copies] = self.originals.pixels(rows[~copies], preprocessing)
        return images

    def file(self, row: int) -> Path | None:
        """The file of one image; None for a copy."""
        return self.originals.file(row) if row < len(self.originals.keys) else None

    def image(self, row: int) -> Image.Image:
        """One image or copy before any preprocessing."""
        keys = self.originals.keys
        if row < len(keys):
            return self.originals.image(row)
        return altered(self.originals.image(row - len(keys)), keys[row - len(keys)])


@functools.lru_cache(maxsize=2)
def _keys(originals: tuple[str, ...]) -> tuple[str, ...]:
    return (*originals, *(f"{key}, altered by {alteration_of(key)}" for key in originals))


def with_altered_queries(dataset: Dataset) -> Dataset:
    """The data itself or, if no two images show the same identity, with altered copies as queries.

    Data with a gallery domain keeps its task, even if that has no queries. Domains and cameras are
    not kept in the other case: a copy shows what its original shows, from the same camera.
    """
    splits = (dataset.train, dataset.validation, dataset.test)
    alone = all(np.bincount(images.identities).max(initial=0) < 2 for images in splits)
    if not alone or dataset.gallery_domain is not None or not any(map(len, splits[1:])):
        return dataset
    train, validation, test = (
        replace(
            images,
            domains=np.zeros(len(images), np.int16),
            domain_names=(ORIGINAL, ALTERED),
            cameras=None,
        )
        for images in splits
    )
    say(
        f"No two images of {dataset.name} show the same identity, so altered copies of them are "
        "the queries."
    )
    return replace(
        dataset,
        train=train,
        validation=_with_copies(validation),
        test=_with_copies(test),
        gallery_domain=ORIGINAL,
        queries_note=QUERIES_NOTE,
    )


def originals(dataset: Dataset, split: Literal["train", "validation", "test"]) -> ImageSet:
    """The images of a split without altered copies."""
    images: ImageSet = getattr(dataset, split)
    if not dataset.queries_note:
        return images
    return images.subset(images.domains == images.domain_names.index(ORIGINAL))


def _with_copies(images: ImageSet) -> ImageSet:
    """N images and their N copies."""
    count = len(images.source.keys)
    return replace(
        images,
        identities=np.tile(images.identities, 2),
        domains=np.repeat(np.array([0, 1], np.int16), len(images)),
        source=AlteredImages(images.source),
        rows=np.concatenate([images.rows, images.rows + count]),
    )
