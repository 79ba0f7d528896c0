"""CSD: each image is to be as near to its neighbours as the gallery model sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from edgecmp.gallery.source import Need
from edgecmp.losses import ContextualSimilarity
from edgecmp.training.methods.method import Batch, Method, register_method
from edgecmp.training.supervision import Supervision

__all__ = ["CSD"]


class _Loss(nn.Module):
    """Neighbours are looked up among the gallery's embeddings of all training images."""

    embeddings: Tensor
    cosines: Tensor
    nearest: Tensor

    def __init__(self, settings: CSD, supervision: Supervision) -> None:
        super().__init__()
        self.weight = settings.weight
        self.term = ContextualSimilarity(
            query_temperature=settings.query_temperature,
            gallery_temperature=settings.gallery_temperature,
        )
        cosines, nearest = supervision.neighbours(settings.neighbours)
        self.register_buffer("embeddings", supervision.embeddings, persistent=False)
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("nearest", nearest, persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar."""
        anchors = self.embeddings[self.nearest[batch.indices]]  # (N, k, D)
        loss: Tensor = self.term(batch.embeddings, anchors, self.cosines[batch.indices])
        return self.weight * loss


@register_method("csd")
@dataclass(frozen=True, kw_only=True, slots=True)
class CSD(Method):
    """L = weight KL(softmax(t / tau_g) || softmax(s / tau_q)) over k neighbours, itself included.

    Contextual similarity distillation (Wu et al., CVPR 2022); see `ContextualSimilarity`.

    Attributes:
        weight: of the loss.
        neighbours: k.
        query_temperature, gallery_temperature: tau_q and tau_g.
    """

    weight: float = 5.0
    neighbours: int = 96
    query_temperature: float = 0.1
    gallery_temperature: float = 0.1
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS})

    def loss(self, supervision: Supervision) -> nn.Module:
        """See `Method.loss`."""
        return _Loss(self, supervision)
