"""Similarities: matches each image's similarities to random others with those of the gallery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from edgecmp.gallery.source import Need
from edgecmp.losses import SimilarityDivergence
from edgecmp.training.fields import Count, Number, Positive
from edgecmp.training.methods.method import Batch, Method, register_method
from edgecmp.training.supervision import Supervision

__all__ = ["Similarities"]


class _Loss(nn.Module):
    targets: Tensor
    anchors: Tensor

    def __init__(self, settings: Similarities, supervision: Supervision) -> None:
        super().__init__()
        self.weight = settings.weight
        self.drawn = settings.anchors
        self.term = SimilarityDivergence(
            query_temperature=settings.temperature, gallery_temperature=settings.temperature
        )
        self.register_buffer("targets", supervision.targets, persistent=False)
        self.register_buffer("anchors", supervision.anchors, persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar."""
        known = batch.shown.targets
        theirs = self.targets[batch.indices] if known is None else known
        anchors = torch.cat([self.anchors[batch.indices], self._random()])  # (N + A, D)
        loss: Tensor = self.term(batch.embeddings @ anchors.T, theirs @ anchors.T)
        return self.weight * loss

    def _random(self) -> Tensor:
        """Anchors of random training images, (A, D); all of them if there are no more."""
        if self.drawn >= len(self.anchors):
            return self.anchors
        return self.anchors[torch.randint(len(self.anchors), (self.drawn,))]


@register_method("similarities")
@dataclass(frozen=True, kw_only=True, slots=True)
class Similarities(Method):
    """L = weight KL(softmax(t / tau) || softmax(s / tau)) over the batch and random images.

    Here t and s are the similarities of an image's target and of the query network's embedding to
    the gallery model's embeddings of the other images; see `SimilarityDivergence`. What all
    embeddings have in common, such as a large mean, has no influence. The gallery model embeds
    what the query network sees if another method needs that too, else the image as it is.

    Source: Fang et al., "SEED: Self-supervised Distillation for Visual Representation", ICLR 2021,
    https://arxiv.org/abs/2101.04731. There the anchors are those of earlier batches, and the
    temperatures differ.

    Attributes:
        weight: of the loss.
        anchors: training images that are drawn anew in each step, besides those of the batch.
        temperature: tau.
    """

    weight: Number = 3.0
    anchors: Count = 1024
    temperature: Positive = 0.05
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS})
    sees_mixed: ClassVar[bool] = True

    def loss(self, supervision: Supervision) -> nn.Module:
        """See `Method.loss`."""
        return _Loss(self, supervision)
