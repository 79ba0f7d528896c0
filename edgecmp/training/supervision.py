"""Supervision: what the training images and the gallery tell a method, computed once if asked."""

from __future__ import annotations

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from edgecmp.data import ImageSet
from edgecmp.gallery.source import GallerySource
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import say

__all__ = ["Supervision"]

SCORES_AT_ONCE = 2**24


class Supervision:
    """The gallery's answers for a set of training images.

    Args:
        source: the gallery.
        train: N training images of identities 0..K-1.
        preprocessing: of the query network.
    """

    def __init__(
        self, source: GallerySource, train: ImageSet, preprocessing: Preprocessing
    ) -> None:
        self.source, self.train, self.preprocessing = source, train, preprocessing
        self.labels = torch.from_numpy(train.identities)
        self.embedding_dim = source.embedding_dim

    @cached_property
    def _trained_classifier(self) -> Tensor | None:
        return self.source.classifier(self.train)

    @property
    def classes(self) -> int:
        """Rows of a query network's own classifier: as many as the gallery's, if it has one.

        A gallery model that learned quarter turns as identities of their own has four times the
        identities; their rows are further negatives.
        """
        if self._trained_classifier is not None:
            return len(self._trained_classifier)
        return len(self.train.identity_names)

    @cached_property
    def classifier(self) -> Tensor:
        """The gallery's classifier (K, D); without one, the mean embedding of each identity.

        The means stand in as in openBCT, where the old model lacks the new identities.
        """
        if self._trained_classifier is not None:
            return self._trained_classifier
        say(
            f"{self.source.name} has no classifier of these identities: the mean embedding of each "
            "identity's training images stands in for its row."
        )
        sums = torch.zeros(len(self.train.identity_names), self.embedding_dim)
        sums.index_add_(0, self.labels, self.embeddings)
        return F.normalize(sums, dim=1)

    @cached_property
    def embeddings(self) -> Tensor:
        """The gallery's embedding of each training image as it is, (N, D), of unit length."""
        return torch.from_numpy(self.source.embeddings(self.train))

    def live(self, images: Tensor) -> Tensor:
        """The gallery network's embeddings (N, D) of what the query network sees."""
        return self.source.live(images, self.preprocessing)

    def neighbours(self, count: int) -> tuple[Tensor, Tensor]:
        """The training images nearest to each by the gallery, nearest first, itself in front.

        Args:
            count: k; at most N are given.

        Returns:
            Cosines (N, k) and training indices (N, k).
        """
        embeddings, total = self.embeddings, len(self.embeddings)
        values, indices = [], []
        for rows in torch.split(torch.arange(total), max(1, SCORES_AT_ONCE // total)):
            cosines = embeddings[rows] @ embeddings.T
            cosines[torch.arange(len(rows)), rows] = torch.inf
            found = cosines.topk(min(count, total), dim=1)
            found.values[:, 0] = embeddings[rows].square().sum(1)
            values.append(found.values)
            indices.append(found.indices)
        return torch.cat(values), torch.cat(indices)
