"""Dataset: three image sets without a common identity, and the retrieval task that each poses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgecmp.data.image_set import ImageSet, Integers
from edgecmp.errors import UserError, unknown_choice

__all__ = ["Dataset", "Retrieval"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrieval:
    """The task of finding each query's identity among the gallery images.

    The gallery has at least one image of each query's identity, and may have images of other
    identities: distractors.

    Attributes:
        queries: the images to find.
        gallery: the images that are searched.
    """

    queries: ImageSet
    gallery: ImageSet


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """Open-set retrieval data: no identity appears in two splits.

    Attributes:
        name: registry name, or the path that it was read from.
        train: the images that networks are trained on; identities 0..K-1.
        validation: held out for the rewards of searches (supplement A.1).
        test: used for the final evaluation only.
        gallery_domain: the domain whose images form the gallery; None: each identity's first image.
    """

    name: str
    train: ImageSet
    validation: ImageSet
    test: ImageSet
    gallery_domain: str | None

    def retrieval(self, split: Literal["validation", "test"] = "test") -> Retrieval:
        """The task of one split: gallery = images of the gallery domain, queries = all others.

        Queries whose identity has no gallery image are left out.

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
        known = np.isin(images.identities, images.identities[in_gallery])
        queries = images.subset(~in_gallery & known)
        gallery = images.subset(in_gallery)
        if not len(queries):
            domain = self.gallery_domain
            among_them = f", at least one of them in the domain {domain!r}" if domain else ""
            raise UserError(
                f"The {split} split of {self.name} has {len(gallery)} gallery images and no query.",
                f"Add identities that have at least two images{among_them}.",
            )
        if len(np.unique(gallery.identities)) < 2:
            raise UserError(
                f"The {split} split of {self.name} has only one identity in its gallery, so every "
                "answer would be counted as correct.",
                f"Assign at least two identities to the split {split!r}.",
            )
        return Retrieval(queries=queries, gallery=gallery)

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
