"""Fine-tuning: the own classifier starts as the gallery's, and both are trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from edgecmp.gallery.source import Need
from edgecmp.training.methods.method import Method, register_method
from edgecmp.training.methods.scratch import OwnClassifier
from edgecmp.training.supervision import Supervision

__all__ = ["FineTune"]


@register_method("fine-tune")
@dataclass(frozen=True, kw_only=True, slots=True)
class FineTune(Method):
    """L = L1(phi_q, kappa) with kappa = kappa_g at the start (supplement C).

    Meant for a network that starts near the gallery's, such as a pruned copy of it (`--start`):
    how near it stays is what M(q,g) shows.

    Attributes:
        scale, margin: of the classifier.
    """

    scale: float = 24.0
    margin: float = 0.2
    needs: ClassVar[frozenset[Need]] = frozenset({Need.CLASSIFIER})

    def loss(self, supervision: Supervision) -> nn.Module:
        """See `Method.loss`."""
        module = OwnClassifier(supervision, scale=self.scale, margin=self.margin)
        with torch.no_grad():
            module.own.weight.copy_(supervision.classifier)
        return module
