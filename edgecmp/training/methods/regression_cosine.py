"""Cosine regression to the gallery model's embeddings of the training images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from edgecmp.gallery.source import Need
from edgecmp.losses import EmbeddingRegression
from edgecmp.training.fields import Number
from edgecmp.training.methods.method import Method, register_method
from edgecmp.training.methods.regression import TargetRegression
from edgecmp.training.supervision import Supervision

__all__ = ["RegressionCosine"]


@register_method("regression-cosine")
@dataclass(frozen=True, kw_only=True, slots=True)
class RegressionCosine(Method):
    """L = weight (1 - cos(phi_q, phi_g)); needs neither labels nor a classifier.

    Source: Budnik and Avrithis, "Asymmetric Metric Learning for Knowledge Transfer", CVPR 2021,
    https://arxiv.org/abs/2006.16331.

    Attributes:
        weight: of the loss.
    """

    weight: Number = 10.0
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS})

    def loss(self, supervision: Supervision) -> nn.Module:
        """See `Method.loss`."""
        return TargetRegression(EmbeddingRegression(), self.weight, supervision)
