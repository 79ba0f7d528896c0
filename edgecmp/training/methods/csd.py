"""CSD: matches each image's similarities to its neighbours with those of the gallery model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from edgecmp.gallery.source import Need
from edgecmp.losses import SimilarityDivergence
from edgecmp.training.fields import Count, Number, Positive
from edgecmp.training.methods.method import Batch, Method, register_method
from edgecmp.training.methods.neighbours import Neighbours
from edgecmp.training.supervision import Supervision

__all__ = ["CSD"]


class _Loss(nn.Module):
    def __init__(self, settings: CSD, supervision: Supervision) -> None:
        super().__init__()
        self.weight = settings.weight
        self.term = SimilarityDivergence(
            query_temperature=settings.query_temperature,
            gallery_temperature=settings.gallery_temperature,
        )
        self.neighbours = Neighbours(supervision, settings.neighbours, with_itself=True)

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar."""
        anchors, cosines = self.neighbours(batch.indices)  # (N, k, D), (N, k)
        ours = torch.einsum("nd,nkd->nk", batch.embeddings, anchors)
        loss: Tensor = self.term(ours, cosines)
        return self.weight * loss


@register_method("csd")
@dataclass(frozen=True, kw_only=True, slots=True)
class CSD(Method):
    """L = weight KL(softmax(t / tau_g) || softmax(s / tau_q)) over k neighbours, itself included.

    Here t and s are the cosines of the image to its neighbours by the gallery model and the query
    network; see `SimilarityDivergence`.

    Source: Wu et al., "Contextual Similarity Distillation for Asymmetric Image Retrieval",
    CVPR 2022.

    Attributes:
        weight: of the loss.
        neighbours: k.
        query_temperature, gallery_temperature: tau_q and tau_g.
    """

    weight: Number = 5.0
    neighbours: Count = 96
    query_temperature: Positive = 0.1
    gallery_temperature: Positive = 0.1
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS})

    def loss(self, supervision: Supervision) -> nn.Module:
        """See `Method.loss`."""
        return _Loss(self, supervision)
