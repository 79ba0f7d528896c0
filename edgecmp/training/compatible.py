"""CompatibleLoss: the terms that tie a query network to its gallery model, with their weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgecmp.bundle import GalleryBundle
from edgecmp.data import ImageSet
from edgecmp.embedding import embed
from edgecmp.losses import BCT, CosFace, EmbeddingRegression

__all__ = ["CompatibleLoss", "LossWeights"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LossWeights:
    """L = own L1(phi_q, kappa_q) + bct L2(phi_q, kappa_g) + regression (1 - cos(phi_q, phi_g)).

    Attributes:
        own: weight of the query network's own margin softmax (vanilla training).
        bct: weight of the softmax over the gallery's frozen classifier.
        regression: weight of the regression to the gallery's embedding of the clean image.
        scale, margin: of the own classifier; `bct_margin` of the gallery's.
    """

    own: float = 0.0
    bct: float = 1.0
    regression: float = 0.0
    scale: float = 24.0
    margin: float = 0.2
    bct_margin: float = 0.0


class CompatibleLoss(nn.Module):
    """The weighted sum; parts of weight 0 are neither built nor computed."""

    def __init__(self, weights: LossWeights, gallery: GalleryBundle, train: ImageSet) -> None:
        super().__init__()
        self.weights = weights
        classes, embedding_dim = gallery.classifier.shape
        self.labels = torch.from_numpy(train.identities)
        self.own: CosFace | None = None
        self.bct: BCT | None = None
        self.regression: EmbeddingRegression | None = None
        if weights.own:
            self.own = CosFace(classes, embedding_dim, scale=weights.scale, margin=weights.margin)
        if weights.bct:
            self.bct = BCT(gallery.classifier, scale=weights.scale, margin=weights.bct_margin)
        if weights.regression:
            prepare = gallery.preprocessing
            targets = embed(gallery.network, train.pixels(prepare), prepare)
            self.regression = EmbeddingRegression(torch.from_numpy(targets))

    def forward(self, embeddings: Tensor, indices: Tensor) -> Tensor:
        """Embeddings (N, D) of the training images with those indices (N,) to a scalar."""
        labels = self.labels[indices]
        loss = embeddings.new_zeros(())
        if self.own is not None:
            loss = loss + self.weights.own * self.own(embeddings, labels)
        if self.bct is not None:
            loss = loss + self.weights.bct * self.bct(embeddings, labels)
        if self.regression is not None:
            loss = loss + self.weights.regression * self.regression(embeddings, indices)
        return loss
