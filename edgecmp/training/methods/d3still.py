"""D3still: matches the differences between an image's similarities to its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from edgecmp.gallery.source import Need
from edgecmp.losses import DecoupledDifferences, EmbeddingRegression
from edgecmp.training.fields import Count, Number
from edgecmp.training.methods.method import Batch, Method, register_method
from edgecmp.training.methods.neighbours import Neighbours
from edgecmp.training.supervision import Supervision

__all__ = ["D3still"]


class _Loss(nn.Module):
    """Regression to the gallery model's embedding, and the differences between neighbours."""

    def __init__(self, settings: D3still, supervision: Supervision) -> None:
        super().__init__()
        self.feature = settings.feature
        self.regression = EmbeddingRegression()
        self.differences = DecoupledDifferences(
            inverted=settings.inverted, agreeing=settings.agreeing
        )
        self.neighbours = Neighbours(supervision, settings.neighbours, with_itself=False)

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar."""
        anchors, gallery_cosines = self.neighbours(batch.indices)  # (N, k, D), (N, k)
        query_cosines = torch.einsum("nd,nkd->nk", batch.embeddings, anchors)
        targets = self.neighbours.targets[batch.indices]
        feature: Tensor = self.regression(batch.embeddings, targets)
        relation: Tensor = self.differences(query_cosines, gallery_cosines)
        return self.feature * feature + relation


@register_method("d3still")
@dataclass(frozen=True, kw_only=True, slots=True)
class D3still(Method):
    """L = feature (1 - cos(phi_q, phi_g)) + `DecoupledDifferences` over k neighbours.

    The published code takes the neighbours from the batch, which it builds of several images per
    identity; here they come from all training images, so that batches need no structure. `feature`
    weights a mean over images, whereas the published weight of 50 is for a norm over 128 images:
    both have about the same effect near 5.

    Source: Xie et al., "D3still: Decoupled Differential Distillation for Asymmetric Image
    Retrieval", CVPR 2024.

    Attributes:
        feature: weight of the regression to the gallery model's embedding of the image.
        inverted, agreeing: weights of the two kinds of pairs.
        neighbours: k, without the image itself.
    """

    feature: Number = 5.0
    inverted: Number = 2.0
    agreeing: Number = 1.0
    neighbours: Count = 9
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS})

    def loss(self, supervision: Supervision) -> nn.Module:
        """See `Method.loss`."""
        return _Loss(self, supervision)
