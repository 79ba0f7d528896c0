"""Regression by squared distance to the gallery model's embeddings of the training images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from edgecmp.gallery.source import Need
from edgecmp.losses import SquaredDistance
from edgecmp.training.fields import Number
from edgecmp.training.methods.method import Method, register_method
from edgecmp.training.methods.regression import TargetRegression
from edgecmp.training.supervision import Supervision

__all__ = ["RegressionMSE"]


@register_method("regression-mse")
@dataclass(frozen=True, kw_only=True, slots=True)
class RegressionMSE(Method):
    """L = weight ||phi_q - phi_g||^2; for unit vectors, cosine regression with twice the weight.

    Source: Budnik and Avrithis, "Asymmetric Metric Learning for Knowledge Transfer", CVPR 2021,
    https://arxiv.org/abs/2006.16331.

    Attributes:
        weight: of the loss.
    """

    weight: Number = 10.0
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS})

    def loss(self, supervision: Supervision) -> nn.Module:
        """See `Method.loss`."""
        return TargetRegression(SquaredDistance(), self.weight, supervision)
