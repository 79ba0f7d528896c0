"""D3still: differences between neighbours, those in the wrong order apart from the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from edgecmp.gallery.source import Need
from edgecmp.losses import DecoupledDifferences, EmbeddingRegression
from edgecmp.training.methods.method import Batch, Method, register_method
from edgecmp.training.supervision import Supervision

__all__ = ["D3still"]


class _Loss(nn.Module):
    """Regression to the image's own embedding, and the differences among its neighbours."""

    embeddings: Tensor
    cosines: Tensor
    nearest: Tensor

    def __init__(self, settings: D3still, supervision: Supervision) -> None:
        super().__init__()
        self.feature = settings.feature
        self.regression = EmbeddingRegression()
        self.differences = DecoupledDifferences(
            inverted=settings.inverted, agreeing=settings.agreeing
        )
        cosines, nearest = supervision.neighbours(settings.neighbours + 1)
        self.register_buffer("embeddings", supervision.embeddings, persistent=False)
        self.register_buffer("cosines", cosines[:, 1:], persistent=False)
        self.register_buffer("nearest", nearest[:, 1:], persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar."""
        anchors = self.embeddings[self.nearest[batch.indices]]  # (N, k, D)
        own = torch.einsum("nd,nkd->nk", batch.embeddings, anchors)
        feature: Tensor = self.regression(batch.embeddings, self.embeddings[batch.indices])
        relation: Tensor = self.differences(own, self.cosines[batch.indices])
        return self.feature * feature + relation


@register_method("d3still")
@dataclass(frozen=True, kw_only=True, slots=True)
class D3still(Method):
    """L = feature (1 - cos(phi_q, phi_g)) + `DecoupledDifferences` over k neighbours.

    Decoupled differential distillation (Xie et al., CVPR 2024). The published code looks for
    neighbours in the batch, which holds several images of an identity there; here they come from
    all training images, so that the batch need not be built for it. `feature` weighs a mean, the
    published 50 a length over 128 images: the two pull alike near 5.

    Attributes:
        feature: weight of the regression to the image's own embedding.
        inverted, agreeing: weights of the two kinds of pairs.
        neighbours: k, the image itself not counted.
    """

    feature: float = 5.0
    inverted: float = 2.0
    agreeing: float = 1.0
    neighbours: int = 9
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS})

    def loss(self, supervision: Supervision) -> nn.Module:
        """See `Method.loss`."""
        return _Loss(self, supervision)
