"""Dataset: three image sets without a common identity, and the retrieval task that each poses.

If the cameras of the images are known, Market-1501's rule applies: for a query, the gallery images
of its identity from its own camera are ignored, since they may be the next frame of a video (Zheng
et al., ICCV 2015).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from edgecmp.data.image_set import ImageSet, Integers
from edgecmp.errors import UserError, unknown_choice
from edgecmp.metrics import FEW_QUERIES, wilson
from edgecmp.wording import counted

__all__ = ["Dataset", "Retrieval"]

_SIX = (
    "Add images: six identities are the fewest that can be divided into training, validation and "
    "test, four of them with two images each, or six images without labels."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrieval:
    """The task of finding each query's identity among the gallery images.

    The gallery has at least one image of each query's identity (from another camera, if the data
    has cameras), and may have images of other identities: distractors.

    Attributes:
        queries: the images to find.
        gallery: the images that are searched.
        left_out: number of images that are neither: nothing in the gallery matches them.
        queries_note: what the queries are, as in `Dataset`.
    """

    queries: ImageSet
    gallery: ImageSet
    left_out: int = 0
    queries_note: str = ""

    @property
    def cameras(self) -> tuple[Integers, Integers] | None:
        """The cameras of the queries (Q,) and of the gallery images (G,), for the metrics."""
        if self.queries.cameras is None or self.gallery.cameras is None:
            return None
        return self.queries.cameras, self.gallery.cameras

    def limited(self, limit: int | None) -> Retrieval:
        """The task with `limit` of its queries, evenly spaced; with all of them if None.

        Raises:
            UserError: the limit is below 1.
        """
        if limit is None or limit >= len(self.queries):
            return self
        if limit < 1:
            raise UserError(
                f"--limit must be at least 1 (got {limit}).", "Leave it out to use all queries."
            )
        chosen = np.linspace(0, len(self.queries) - 1, limit).round().astype(np.int64)
        return replace(self, queries=self.queries.subset(chosen))

    def describe(self) -> str:
        """Numbers of images and identities: "20 queries of 4 identities, 9 gallery images of 6".

        Fewer than `FEW_QUERIES` are said to be few, and if most ask for one identity, that is too.
        """
        asked, queries_of = np.unique(self.queries.identities, return_counts=True)
        gallery = len(np.unique(self.gallery.identities))
        text = (
            f"{counted(len(self.queries), 'query')} of {counted(len(asked), 'identity')}, "
            f"{counted(len(self.gallery), 'gallery image')} of {gallery:,}"
        )
        if len(self.queries) < FEW_QUERIES:
            text += f"; with so few queries, {self._half()}"
        if len(asked) > 2 and 2 * queries_of.max() > len(self.queries):
            name = self.queries.identity_names[asked[queries_of.argmax()]]
            share = queries_of.max() / len(self.queries)
            text += f"; {share:.0%} of the queries ask for {name!r}"
        if self.left_out:
            text += f"; left out {counted(self.left_out, 'image')} without a match in the gallery"
        if self.cameras is not None:
            text += "; matches from the query's own camera are ignored"
        if self.queries_note:
            text += f"; {self.queries_note[0].lower()}{self.queries_note[1:].rstrip('.')}"
        return text

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that belong to all figures of this task; none for many photographed queries."""
        few: tuple[str, ...] = ()
        if len(self.queries) < FEW_QUERIES:
            few = (f"Figures of {counted(len(self.queries), 'query')} are rough: {self._half()}.",)
        return (self.queries_note, *few) if self.queries_note else few

    def _half(self) -> str:
        """How far from a half the share of all queries may be if half of these are right."""
        low, high = wilson(0.5, len(self.queries))
        return f"50 % means {100 * low:.0f} to {100 * high:.0f} % (95 % interval)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """Open-set retrieval data: no identity appears in two splits.

    Attributes:
        name: registry name, or the path that it was read from.
        train: the images that networks are trained on; identities 0..K-1.
        validation: held out for the rewards of searches (supplement A.1).
        test: used for the final evaluation only.
        gallery_domain: the domain whose images form the gallery; None: each identity's first image.
        queries_note: a sentence on what the queries are, if they are not photos of their own: it is
            said wherever figures of them are shown. Empty for most data.
    """

    name: str
    train: ImageSet
    validation: ImageSet
    test: ImageSet
    gallery_domain: str | None
    queries_note: str = ""

    def require(self, *splits: Literal["train", "validation", "test"]) -> None:
        """Refuses the data if one of these splits cannot serve its purpose.

        Raises:
            UserError: there are fewer than two training images, or `retrieval` refuses a split.
        """
        for split in splits:
            if split != "train":
                self.retrieval(split)
            elif len(self.train) < 2:
                raise UserError(
                    f"{self.name} has {counted(len(self.train), 'training image')}, and a training "
                    f"needs two or more: {self._sizes()}.",
                    f"{_SIX} Or assign images to the split 'train'.",
                )

    def retrieval(self, split: Literal["validation", "test"] = "test") -> Retrieval:
        """The task of one split: gallery = images of the gallery domain, queries = all others.

        Queries whose identity has no gallery image, or none from another camera, are left out.

        Raises:
            UserError: there is no such split, or it has no queries or a single gallery identity.
        """
        if split not in ("validation", "test"):
            raise unknown_choice("split", split, ("validation", "test"))
        images = self.validation if split == "validation" else self.test
        if not len(images):
            raise UserError(
                f"{self.name} has no {split} split.",
                f"Assign images to the split {split!r}, set {split}_share in a .toml description "
                "of the data, or name other data with --data.",
            )
        in_gallery = self._in_gallery(images)
        known = _matches(images, in_gallery) > 0
        queries = images.subset(~in_gallery & known)
        gallery = images.subset(in_gallery)
        if not len(queries):
            domain = self.gallery_domain
            among_them = f", at least one of them in the domain {domain!r}" if domain else ""
            cameras = "" if images.cameras is None else " from different cameras"
            raise UserError(
                f"The {split} split of {self.name} has {counted(len(gallery), 'gallery image')} "
                f"and no query: {self._sizes()}.",
                f"Add identities that have at least two images{cameras}{among_them}.",
            )
        if len(np.unique(gallery.identities)) < 2:
            raise UserError(
                f"The {split} split of {self.name} has only one identity in its gallery, so every "
                f"answer would be counted as correct: {self._sizes()}.",
                f"{_SIX} Or assign at least two identities to the split {split!r}.",
            )
        left_out = len(images) - len(queries) - len(gallery)
        return Retrieval(
            queries=queries, gallery=gallery, left_out=left_out, queries_note=self.queries_note
        )

    def describe(self) -> str:
        """One line with the numbers of images and identities that a training uses."""
        trained = (
            f"{counted(len(self.train), 'training image')} of "
            f"{counted(len(self.train.identity_names), 'identity')}"
        )
        try:
            held_out = self.retrieval("validation").describe()
        except UserError:
            return f"{self.name}: {trained}; no hold-out."
        return f"{self.name}: {trained}; hold-out: {held_out}."

    def _sizes(self) -> str:
        """How many identities each split has, in words."""
        splits = {"training": self.train, "validation": self.validation, "test": self.test}
        counts = {name: len(np.unique(images.identities)) for name, images in splits.items()}
        parts = ", ".join(f"{count:,} for {name}" for name, count in counts.items())
        return f"it has {counted(sum(counts.values()), 'identity')}, {parts}"

    def _in_gallery(self, images: ImageSet) -> Integers:
        """(N,) bool: whether each image is a gallery image."""
        if self.gallery_domain is not None:
            in_domain: Integers = images.domains == images.domain_names.index(self.gallery_domain)
            return in_domain
        by_key = sorted(range(len(images)), key=images.keys.__getitem__)
        order = np.array(by_key, dtype=np.int64)
        _, first = np.unique(images.identities[order], return_index=True)
        in_gallery = np.zeros(len(images), dtype=bool)
        in_gallery[order[first]] = True
        return in_gallery


def _matches(images: ImageSet, in_gallery: Integers) -> Integers:
    """(N,) number of gallery images that each image would have to find, as a query."""
    same = _occurrences(images.identities, in_gallery)
    if images.cameras is None:
        return same
    _, cameras = np.unique(images.cameras, return_inverse=True)
    pairs = images.identities * (cameras.max(initial=0) + 1) + cameras
    return same - _occurrences(pairs, in_gallery)


def _occurrences(labels: Integers, in_gallery: Integers) -> Integers:
    """(N,) how many gallery images have the label of each image."""
    _, numbers = np.unique(labels, return_inverse=True)
    counts: Integers = np.bincount(numbers[in_gallery], minlength=numbers.max(initial=-1) + 1)
    return counts[numbers]
