"""Joins images of several sources into one training set; those without labels have -1."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from edgecmp.data.image_set import ImageSet, ImageSource, Integers, Pixels
from edgecmp.preprocessing import Preprocessing

__all__ = ["JoinedImages", "join", "labelled_part", "without_labels"]

_PER_SHARD = 4096
"""Images that count as one shard in a part that has none, if another part has shards."""


class JoinedImages:
    """The images of several sets, one set after the other.

    Args:
        parts: the sets.
        keys: a key of each image, in the order of the parts; all are different.
    """

    def __init__(self, parts: Sequence[ImageSet], keys: Sequence[str]) -> None:
        self.parts, self.keys = tuple(parts), tuple(keys)
        self.fingerprint = hashlib.sha256(
            "\n".join((*(part.fingerprint for part in parts), *keys)).encode()
        ).hexdigest()
        lengths = [len(part) for part in parts]
        self._part_of = np.repeat(np.arange(len(parts)), lengths)
        self._rows = np.concatenate([part.rows for part in parts]).astype(np.int64)
        self.shards: Integers | None = _shards(parts)

    def pixels(self, rows: Integers, preprocessing: Preprocessing) -> Pixels:
        """The images of `rows` (n,), prepared: (n, H, W, 3) uint8.

        Raises:
            UserError: an image can no longer be read.
        """
        prepared = np.empty((len(rows), *preprocessing.shape), np.uint8)
        part_of = self._part_of[rows]
        for part in np.unique(part_of):
            places = np.flatnonzero(part_of == part)
            source = self.parts[part].source
            prepared[places] = source.pixels(self._rows[rows[places]], preprocessing)
        return prepared

    def file(self, row: int) -> Path | None:
        """The file of one image; None if it has none of its own."""
        return self._source(row).file(int(self._rows[row]))

    def image(self, row: int) -> Image.Image:
        """One image before any preprocessing."""
        return self._source(row).image(int(self._rows[row]))

    def _source(self, row: int) -> ImageSource:
        return self.parts[int(self._part_of[row])].source


def without_labels(images: ImageSet) -> ImageSet:
    """The same images without identities, domains and cameras."""
    return replace(
        images,
        identities=np.full(len(images), -1, np.int64),
        identity_names=(),
        domains=np.zeros(len(images), np.int16),
        domain_names=("",),
        cameras=None,
    )


def join(first: ImageSet, others: Sequence[ImageSet]) -> ImageSet:
    """The images of the first set with their labels, then those of the others without any.

    Args:
        first: its name, identities and domains are those of the result.
        others: their identities are ignored. A key that an earlier image has gets the name of its
            set in front.
    """
    if not others:
        return first
    parts = [first, *map(without_labels, others)]
    domain_names = first.domain_names
    if "" not in domain_names:
        domain_names = (*domain_names, "")
    more = sum(map(len, others))
    return ImageSet(
        name=first.name,
        identities=np.concatenate([first.identities, np.full(more, -1, np.int64)]),
        identity_names=first.identity_names,
        domains=np.concatenate(
            [first.domains, np.full(more, domain_names.index(""), np.int16)]
        ).astype(np.int16),
        domain_names=domain_names,
        source=JoinedImages(parts, _different_keys(parts)),
        rows=np.arange(len(first) + more, dtype=np.int64),
    )


def labelled_part(images: ImageSet) -> ImageSet:
    """The images that have identities: the first set of `join`, or all if none were joined."""
    source = images.source
    return source.parts[0] if isinstance(source, JoinedImages) else images


def _different_keys(parts: Sequence[ImageSet]) -> list[str]:
    """The keys of all parts, each made different from all earlier ones."""
    taken: set[str] = set()
    keys: list[str] = []
    for part in parts:
        for key in part.keys:
            given = key if key not in taken else f"{part.name}/{key}"
            while given in taken:
                given += "'"
            taken.add(given)
            keys.append(given)
    return keys


def _shards(parts: Sequence[ImageSet]) -> Integers | None:
    """(N,) the shard of each image; None if no part has shards.

    The images of a part without shards are dealt out evenly, so that each of its shards is a sample
    of the part, as those of `edgecmp data shard` are.
    """
    if all(part.source.shards is None for part in parts):
        return None
    found: list[Integers] = []
    first = 0
    for part in parts:
        if (own := part.source.shards) is not None:
            _, numbers = np.unique(own[part.rows], return_inverse=True)
        else:
            numbers = np.arange(len(part)) % max(1, -(-len(part) // _PER_SHARD))
        found.append(numbers + first)
        first += int(numbers.max(initial=-1)) + 1
    return np.concatenate(found)
