"""A dataset: three image sets with no identity in common, and the retrieval task they pose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgecmp.data.image_set import ImageSet
from edgecmp.errors import UserError, unknown_choice

__all__ = ["Dataset", "Retrieval"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrieval:
    """Find each query's identity among the gallery's images; every query has one there.

    Gallery images may be of identities that no query has: distractors.
    """

    queries: ImageSet
    gallery: ImageSet


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """Open-set retrieval data: identities of one split appear in no other.

    Args:
        name: registry name, or the path it was read from.
        train: what networks learn from; identities 0..K-1.
        validation: held out for the search's rewards (supplement A.1).
        test: never seen before the final evaluation.
        gallery_domain: the domain whose images form the gallery; None: each identity's first image.
    """

    name: str
    train: ImageSet
    validation: ImageSet
    test: ImageSet
    gallery_domain: str | None

    def retrieval(self, split: Literal["validation", "test"] = "test") -> Retrieval:
        """The task of one split: gallery = images of the gallery domain, queries = all others.

        Queries whose identity has no image in the gallery are left out.

        Raises:
            UserError: no such split, or it leaves no query, or one identity to find.
        """
        if split not in ("validation", "test"):
            raise unknown_choice("split", split, ("validation", "test"))
        images = self.validation if split == "validation" else self.test
        if not len(images):
            raise UserError(
                f"{self.name} has no {split} split.",
                f"State a {split} split or a {split}_share, or name other data.",
            )
        if self.gallery_domain is None:
            in_gallery = np.zeros(len(images), dtype=bool)
            by_key = sorted(range(len(images)), key=images.keys.__getitem__)
            order = np.array(by_key, dtype=np.int64)
            _, first = np.unique(images.identities[order], return_index=True)
            in_gallery[order[first]] = True
        else:
            in_gallery = images.domains == images.domain_names.index(self.gallery_domain)
        known = np.isin(images.identities, images.identities[in_gallery])
        queries = images.subset(~in_gallery & known)
        gallery = images.subset(in_gallery)
        if not len(queries):
            raise UserError(
                f"The {split} split of {self.name} has {len(gallery)} gallery images and no query.",
                "Retrieval needs identities with two images or more"
                + (
                    f", one of them in the domain {self.gallery_domain!r}."
                    if self.gallery_domain
                    else "."
                ),
            )
        if len(np.unique(gallery.identities)) < 2:
            raise UserError(
                f"The {split} split of {self.name} has one identity in the gallery, so any answer "
                "would be right.",
                "Retrieval needs two identities or more in each split: add some, or state the "
                "splits yourself.",
            )
        return Retrieval(queries=queries, gallery=gallery)
