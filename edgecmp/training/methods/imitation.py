"""Imitation: regression to the gallery model's embedding of the same augmented image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from edgecmp.gallery.source import Need
from edgecmp.losses import EmbeddingRegression
from edgecmp.training.fields import Number, Share
from edgecmp.training.methods.method import Batch, Method, register_method
from edgecmp.training.supervision import Supervision

__all__ = ["Imitation"]


class _Loss(nn.Module):
    """Its targets come with each batch: the gallery network is not a part of this module."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.regression = EmbeddingRegression()

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar."""
        loss: Tensor = self.weight * self.regression(batch.embeddings, batch.taught)
        return loss


@register_method("imitation")
@dataclass(frozen=True, kw_only=True, slots=True)
class Imitation(Method):
    """L = weight (1 - cos(phi_q(x'), phi_g(x'))), where x' is the augmented and blended image.

    This is function matching: the gallery model embeds any image, so blends of images can be used
    for training too.

    Source: Beyer et al., "Knowledge Distillation: A Good Teacher is Patient and Consistent",
    CVPR 2022, https://arxiv.org/abs/2106.05237.

    Attributes:
        weight: of the loss.
        mixed: see `Method`.
    """

    weight: Number = 10.0
    mixed: Share = 0.75
    needs: ClassVar[frozenset[Need]] = frozenset({Need.NETWORK})
    sees_mixed: ClassVar[bool] = True

    def loss(self, supervision: Supervision) -> nn.Module:
        """See `Method.loss`."""
        return _Loss(self.weight)
