"""Job: the facts about data and gallery that a recipe is fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Self

import numpy as np

from edgecmp.data import Dataset
from edgecmp.data.image_set import ImageSet
from edgecmp.gallery.source import GallerySource, ModelSource, Need
from edgecmp.preprocessing import Preprocessing

__all__ = ["EXAMPLE", "Job"]

SAMPLE = 32
"""Images whose sizes are read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What there is to train with.

    Attributes:
        images: number of training images.
        identities: that these images have.
        domains: that these images have; 1 if the data has none.
        unlabelled: number of further training images without identities.
        median_side: median length of the images' shorter side, in pixels.
        embedding_dim: D of the gallery's embeddings, or of those that a gallery model shall have.
        provides: what the gallery provides for training on these images.
        same_pixels: whether the gallery's network reads what a query network of its input size
            reads.
        gallery_size: shorter side of what the gallery's network reads, in pixels; None if there is
            no network, as for a table.
        tier: of the networks.
        has_start: whether the weights of another network initialise the trained one.
        input_size: of the trained network in pixels, where it is given: by its architecture or by
            the user; None if the recipe chooses it.
    """

    images: int
    identities: int
    domains: int = 1
    unlabelled: int = 0
    median_side: int
    embedding_dim: int = 128
    provides: frozenset[Need] = frozenset()
    same_pixels: bool = False
    gallery_size: int | None = None
    tier: str = "100M"
    has_start: bool = False
    input_size: int | None = None

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        source: GallerySource | None,
        *,
        tier: str = "100M",
        has_start: bool = False,
        unlabelled: int = 0,
        input_size: int | None = None,
    ) -> Self:
        """The job of training on a data set for a gallery.

        Args:
            dataset: its training split is trained on.
            source: the gallery; None if a gallery model is trained.
            tier: see the class.
            has_start: see the class.
            unlabelled: see the class.
            input_size: see the class.

        Raises:
            UserError: an image cannot be read.
        """
        train = dataset.train
        size = None
        if isinstance(source, ModelSource):
            size = min(source.model.preprocessing.size)
        return cls(
            images=len(train),
            identities=len(train.identity_names),
            domains=len(np.unique(train.domains)),
            unlabelled=unlabelled,
            median_side=_median_side(train),
            embedding_dim=source.embedding_dim if source else 128,
            provides=source.provides(train) if source else frozenset(),
            same_pixels=bool(
                source and size and source.same_pixels(Preprocessing(input_size=size))
            ),
            gallery_size=size,
            tier=tier,
            has_start=has_start,
            input_size=input_size,
        )

    @property
    def per_identity(self) -> float:
        """Mean number of training images of an identity."""
        return self.images / max(1, self.identities)

    def describe(self) -> str:
        """The facts in one sentence: "2,000 images of 400 identities, 224 px; ..."."""
        gallery = "no gallery"
        if self.provides:
            read = f" that reads {self.gallery_size} px" if self.gallery_size else ""
            kind = "a gallery model" if self.gallery_size else "a table of embeddings"
            gallery = f"{kind}{read}, {self.embedding_dim:,} values"
        start = "; with a start" if self.has_start else ""
        return (
            f"{self.images:,} images of {self.identities:,} identities, "
            f"{self.median_side:,} px; {gallery}{start}"
        )


EXAMPLE = Job(
    images=2_000,
    identities=400,
    median_side=224,
    embedding_dim=512,
    provides=frozenset(Need),
    same_pixels=True,
    gallery_size=224,
    has_start=True,
)
"""The job that the recipe "photos" is shown for where no data is named."""


def _median_side(images: ImageSet) -> int:
    """The median shorter side of an even sample of the images, in pixels; 0 without images."""
    if not len(images):
        return 0
    chosen = images.rows[np.unique(np.linspace(0, len(images) - 1, SAMPLE).astype(np.int64))]
    return int(median(min(images.source.image(int(row)).size) for row in chosen))
