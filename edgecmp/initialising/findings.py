"""Findings: what a data set contains that its user should know before anything is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

import numpy as np

from edgecmp.data import Dataset, ImageSet
from edgecmp.data.altered_queries import originals
from edgecmp.data.contents import NEAR, Contents, contents_of
from edgecmp.errors import UserError
from edgecmp.wording import counted, named

__all__ = ["LOOKED_AT", "Findings", "look_at"]

LOOKED_AT = 20_000
"""The most images that are decoded; of larger data it is an even sample."""

_Split: TypeAlias = Literal["train", "validation", "test"]
_NAMES: dict[_Split, str] = {"train": "training", "validation": "hold-out", "test": "test"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """What there is.

    Attributes:
        images: number of images.
        looked_at: how many of them were decoded; sides and copies are of these.
        identities: number of identities.
        labelled: whether identities are called otherwise than their images.
        splits: a sentence per split.
        domains: number of images by domain; empty if the data has none.
        endings: number of images by the ending of their names.
        sides: smallest, median and largest shorter side, in pixels.
        one_image: identities with a single image.
        one_domain: identities whose images are all in one of several domains.
        copies: images whose pixels or file an earlier one has.
        disputed: of those, the ones whose earlier copy has another identity.
        near: queries of which the gallery has a near copy, or an exact one.
        near_others: of those, the ones whose copy has another identity.
    """

    images: int
    looked_at: int
    identities: int
    labelled: bool
    splits: Mapping[str, str]
    domains: Mapping[str, int]
    endings: Mapping[str, int]
    sides: tuple[int, int, int]
    one_image: Sequence[str]
    one_domain: Sequence[str]
    copies: Sequence[str]
    disputed: Sequence[str]
    near: Sequence[str]
    near_others: Sequence[str]

    @property
    def lines(self) -> list[tuple[str, str]]:
        """What was looked for, and what was found."""
        smallest, middle, largest = self.sides
        looked = counted(self.images, "image")
        if self.looked_at < self.images:
            looked += f", of which {self.looked_at:,} were looked at"
        return [
            ("images", f"{looked}, of {counted(self.identities, 'identity')}"),
            *self.splits.items(),
            ("endings", _numbers(self.endings)),
            ("shorter side", f"{smallest:,} to {largest:,} pixels, median {middle:,}"),
            ("domains", _numbers(self.domains) or "none"),
            ("identities with one image", _examples(self.one_image)),
            ("identities in one domain only", _examples(self.one_domain)),
            ("exact copies of an earlier image", _examples(self.copies)),
            ("... of an image of another identity", _examples(self.disputed)),
            ("near copies of a query in the gallery", _examples(self.near)),
            ("... of a gallery image of another identity", _examples(self.near_others)),
        ]


def look_at(dataset: Dataset) -> Findings:
    """Decodes the images, and finds what there is.

    Raises:
        UserError: an image cannot be read.
    """
    total = sum(len(images) for _, images in _splits(dataset))
    step = max(1, -(-total // LOOKED_AT))
    looked = {
        split: images.subset(np.arange(0, len(images), step)) for split, images in _splits(dataset)
    }
    contents = {split: contents_of(images) for split, images in looked.items()}
    copies, disputed = _copies(looked, contents)
    near, near_others = _near(dataset, looked, contents)
    sides = np.concatenate([found.sizes.min(1) for found in contents.values()])
    labels = [(name, domain) for _, images in _splits(dataset) for name, domain in _labels(images)]
    of_identity: dict[str, Counter[str]] = {}
    for name, domain in labels:
        of_identity.setdefault(name, Counter())[domain] += 1
    domains: Counter[str] = Counter()
    if not dataset.queries_note:
        domains.update(domain for _, domain in labels if domain)
    keys = [key for _, images in _splits(dataset) for key in images.keys]
    return Findings(
        images=total,
        looked_at=len(sides),
        identities=len(of_identity),
        labelled=not set(of_identity) <= set(keys),
        splits={_NAMES[split]: _sentence(dataset, split) for split, _ in _splits(dataset)},
        domains=dict(domains.most_common()),
        endings=dict(Counter(PurePosixPath(key).suffix.lower() or "none" for key in keys)),
        sides=(int(sides.min()), int(np.median(sides)), int(sides.max())),
        one_image=[name for name, found in of_identity.items() if found.total() == 1],
        one_domain=[
            name for name, found in of_identity.items() if len(domains) > 1 and len(found) == 1
        ],
        copies=copies,
        disputed=disputed,
        near=near,
        near_others=near_others,
    )


def _splits(dataset: Dataset) -> Iterator[tuple[_Split, ImageSet]]:
    """The splits that have images, without altered copies."""
    for split in _NAMES:
        images = originals(dataset, split)
        if len(images):
            yield split, images


def _labels(images: ImageSet) -> list[tuple[str, str]]:
    """The names of identity and domain of each image."""
    return [
        (images.identity_names[identity], images.domain_names[domain])
        for identity, domain in zip(images.identities, images.domains, strict=True)
    ]


def _sentence(dataset: Dataset, split: _Split) -> str:
    """What a split poses, or why it poses nothing."""
    if split == "train":
        identities = counted(len(dataset.train.identity_names), "identity")
        return f"{counted(len(dataset.train), 'image')} of {identities}"
    try:
        return dataset.retrieval(split).describe()
    except UserError as error:
        return error.what


def _copies(
    looked: Mapping[_Split, ImageSet], contents: Mapping[_Split, Contents]
) -> tuple[list[str], list[str]]:
    """The keys of exact copies of earlier images, and of those with another identity."""
    first: dict[int, str] = {}
    copies: list[str] = []
    disputed: list[str] = []
    for split, images in looked.items():
        rows = zip(images.keys, _labels(images), contents[split].digests.tolist(), strict=True)
        for key, (identity, _), digest in rows:
            if digest not in first:
                first[digest] = identity
                continue
            copies.append(key)
            if first[digest] != identity:
                disputed.append(key)
    return copies, disputed


def _near(
    dataset: Dataset, looked: Mapping[_Split, ImageSet], contents: Mapping[_Split, Contents]
) -> tuple[list[str], list[str]]:
    """The keys of queries whose copies are in the gallery, and of those of another identity."""
    near: list[str] = []
    others: list[str] = []
    splits: tuple[Literal["validation", "test"], ...] = ("validation", "test")
    for split in splits:
        if split not in looked:
            continue
        try:
            task = dataset.retrieval(split)
        except UserError:
            continue
        if dataset.queries_note:
            continue  # the queries are made from the images of the gallery
        images, found = looked[split], contents[split]
        asked = np.flatnonzero(np.isin(images.rows, task.queries.rows))
        stored = np.flatnonzero(np.isin(images.rows, task.gallery.rows))
        places, differences = found.subset(asked).nearest_in(found.subset(stored))
        copied = differences <= NEAR
        queries, copies, keys = asked[copied], stored[places[copied]], images.keys
        near += [keys[place] for place in queries]
        other = images.identities[queries] != images.identities[copies]
        others += [keys[place] for place in queries[other]]
    return near, others


def _numbers(counts: Mapping[str, int]) -> str:
    """Counts with their names: "400 .jpg, 12 .png"."""
    return named([f"{count:,} {name}" for name, count in counts.items()], 8)


def _examples(names: Sequence[str]) -> str:
    """How many, and the first of them."""
    return f"{len(names):,}, such as {named(names, 3)}" if names else "none"
