"""Supervision: labels and gallery outputs for the training images, computed on first use.

What a query network learns are its targets: the gallery model's embeddings of what it sees, or,
with an adapter, better queries that are derived from them. What it is compared with are the
anchors: the gallery model's embeddings as they are in the index.
"""

from __future__ import annotations

from copy import copy
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from edgecmp.data import ImageSet
from edgecmp.data.image_set import Integers
from edgecmp.data.joined import labelled_part
from edgecmp.errors import UserError
from edgecmp.gallery.source import GallerySource
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import say
from edgecmp.training.adapter import Adapter
from edgecmp.training.augment import Augmentation
from edgecmp.training.pictures import TwoFrames
from edgecmp.training.shown import Shown

__all__ = ["Supervision"]

SCORES_AT_ONCE = 2**24


class Supervision:
    """The labels of training images, and the gallery's outputs for them.

    Args:
        source: the gallery.
        train: N training images of identities 0..K-1; -1 for images without labels.
        preprocessing: of the query network.
        adapter: of the targets; None: they are the gallery model's embeddings.
    """

    adapter: Adapter | None = None

    def __init__(
        self, source: GallerySource, train: ImageSet, preprocessing: Preprocessing
    ) -> None:
        self.source, self.train, self.preprocessing = source, train, preprocessing
        self.labels = torch.from_numpy(train.identities)
        self.embedding_dim = source.embedding_dim

    @cached_property
    def _trained_classifier(self) -> Tensor | None:
        return self.source.classifier(labelled_part(self.train))

    @property
    def classes(self) -> int:
        """Number of classes of a query network's classifier: that of the gallery's, if it has one.

        A gallery model that was trained on quarter turns has four times as many identities, which
        serve as additional negatives.
        """
        if self._trained_classifier is not None:
            return len(self._trained_classifier)
        return len(self.train.identity_names)

    @cached_property
    def classifier(self) -> Tensor:
        """The gallery's classifier (K, D); without one, the mean embedding of each identity.

        The published code of BCT also uses mean embeddings for identities without a class vector.
        """
        if self._trained_classifier is not None:
            return self._trained_classifier
        say(
            f"{self.source.name} has no classifier of these identities; the mean embedding of each "
            "identity's training images is used instead."
        )
        sums = torch.zeros(len(self.train.identity_names), self.embedding_dim)
        labelled = self.labels >= 0
        sums.index_add_(0, self.labels[labelled], self.embeddings[labelled])
        return F.normalize(sums, dim=1)

    @cached_property
    def embeddings(self) -> Tensor:
        """The gallery's embeddings of the training images, (N, D), without augmentation.

        Raises:
            UserError: some of them are not finite.
        """
        return self._embedded(self.train)

    def with_adapter(self, adapter: Adapter | None) -> Supervision:
        """The same with targets by an adapter; what is computed already is kept."""
        other = copy(self)
        other.adapter = adapter
        return other

    @property
    def facts(self) -> dict[str, Any]:
        """What a manifest records of the targets."""
        return {} if self.adapter is None else {"adapter": self.adapter.to_dict()}

    @cached_property
    def targets(self) -> Tensor:
        """What a query network learns for the training images without augmentation, (N, D)."""
        return self.adapted(self.embeddings)

    def adapted(self, embeddings: Tensor) -> Tensor:
        """The targets (n, D) that belong to embeddings (n, D) of the gallery model."""
        return embeddings if self.adapter is None else self.adapter(embeddings)

    @cached_property
    def anchors(self) -> Tensor:
        """The embeddings of the training images as they are in the index, (N, D).

        With an adapter they are longer, so that the similarities of the targets to them vary as the
        cosines of the embeddings do, and temperatures have the same effect.
        """
        return self.embeddings * self.sharpness if self.adapter else self.embeddings

    @property
    def sharpness(self) -> float:
        """How much longer the anchors are, and the class vectors of a frozen classifier."""
        return self.adapter.sharpness if self.adapter else 1.0

    @property
    def knows_all(self) -> bool:
        """Whether `embeddings` are computed already, since a method uses all of them."""
        return "embeddings" in self.__dict__

    def targets_of(self, indices: Integers) -> Tensor:
        """The rows (n, D) of `targets` for n training images, as `embeddings_of`."""
        return self.adapted(self.embeddings_of(indices))

    def embeddings_of(self, indices: Integers) -> Tensor:
        """The rows (n, D) of `embeddings` for n training images; the others are not embedded.

        Raises:
            UserError: some of them are not finite.
        """
        if self.knows_all:
            return self.embeddings[torch.from_numpy(indices)]
        return self._embedded(self.train.subset(indices))

    def _embedded(self, images: ImageSet) -> Tensor:
        """The gallery's embeddings of some training images, which must be finite."""
        found = torch.from_numpy(self.source.embeddings(images))
        broken = (~found.isfinite().all(dim=1)).nonzero().flatten()
        if len(broken):
            raise UserError(
                f"{self.source.name} has no finite embedding for {len(broken):,} of the "
                f"{len(found):,} training images, such as {images.keys[int(broken[0])]!r}.",
                "Correct the gallery, or remove these images from the data.",
            )
        return found

    def frames(self, augmentation: Augmentation) -> TwoFrames | None:
        """How images are prepared for both networks; None if they read the same pixels.

        Args:
            augmentation: of the training images.
        """
        if self.source.same_pixels(self.preprocessing):
            return None
        return TwoFrames(self.preprocessing, self.source.reads, augmentation)

    def taught(self, shown: Shown) -> Shown:
        """A batch with the targets that belong to what the query network sees."""
        if shown.targets is not None:
            return shown
        if shown.teacher is not None:
            targets = self.source.embed_planes(shown.teacher.planes())
        else:
            targets = self.source.embed_normalised(shown.images, self.preprocessing)
        return Shown(shown.images, shown.indices, targets=self.adapted(targets))

    def neighbours(self, count: int) -> tuple[Tensor, Tensor]:
        """The training images that the target of each training image finds in the index.

        Each image is its own first neighbour; the others follow by descending similarity.

        Args:
            count: k; at most N are returned.

        Returns:
            Similarities (N, k) and training indices (N, k).
        """
        targets, anchors, total = self.targets, self.anchors, len(self.anchors)
        values, indices = [], []
        for rows in torch.split(torch.arange(total), max(1, SCORES_AT_ONCE // total)):
            cosines = targets[rows] @ anchors.T
            cosines[torch.arange(len(rows)), rows] = torch.inf
            found = cosines.topk(min(count, total), dim=1)
            found.values[:, 0] = (targets[rows] * anchors[rows]).sum(1)
            values.append(found.values)
            indices.append(found.indices)
        return torch.cat(values), torch.cat(indices)
