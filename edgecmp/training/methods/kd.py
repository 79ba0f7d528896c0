"""KD: knowledge distillation between the classifiers of the two models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from edgecmp.gallery.source import Need
from edgecmp.losses import SoftLabels
from edgecmp.training.fields import Number, Positive
from edgecmp.training.methods.method import Batch, Method, register_method
from edgecmp.training.methods.scratch import QueryClassifier
from edgecmp.training.supervision import Supervision

__all__ = ["KD"]


class _Loss(QueryClassifier):
    """Margin softmax, and the soft labels of the gallery model for the same images."""

    classifier: Tensor

    def __init__(self, settings: KD, supervision: Supervision) -> None:
        super().__init__(supervision, scale=settings.scale, margin=settings.margin)
        self.settings = settings
        self.soft_labels = SoftLabels(temperature=settings.temperature)
        frozen = F.normalize(supervision.classifier.float(), dim=1) * supervision.sharpness
        self.register_buffer("classifier", frozen, persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar."""
        settings = self.settings
        theirs = batch.taught @ self.classifier.T
        ours = batch.embeddings @ F.normalize(self.own.weight, dim=1).T
        soft: Tensor = self.soft_labels(settings.scale * ours, settings.scale * theirs)
        return settings.own * super().forward(batch) + settings.weight * soft


@register_method("kd")
@dataclass(frozen=True, kw_only=True, slots=True)
class KD(Method):
    """L = own L1(phi_q, kappa_q) + weight T^2 KL(kappa_g phi_g || kappa_q phi_q).

    Both models embed the same augmented images, and the logits of both classifiers are cosines
    times `scale`. The loss does not constrain the embeddings (supplement C, table 4).

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015,
    https://arxiv.org/abs/1503.02531.

    Attributes:
        own: weight of the margin softmax over the query network's classifier.
        weight: of the soft labels.
        temperature: T.
        scale, margin: of the query network's classifier.
    """

    own: Number = 1.0
    weight: Number = 1.0
    temperature: Positive = 4.0
    scale: Positive = 24.0
    margin: Number = 0.2
    needs: ClassVar[frozenset[Need]] = frozenset({Need.CLASSIFIER, Need.NETWORK})
    uses_labels: ClassVar[bool] = True

    def loss(self, supervision: Supervision) -> nn.Module:
        """See `Method.loss`."""
        return _Loss(self, supervision)
