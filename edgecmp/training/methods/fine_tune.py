"""Fine-tuning: the classifier is initialised with the gallery model's and trained further."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from edgecmp.gallery.source import Need
from edgecmp.training.fields import Number, Positive
from edgecmp.training.methods.method import Method, register_method
from edgecmp.training.methods.scratch import QueryClassifier
from edgecmp.training.supervision import Supervision

__all__ = ["FineTune"]


@register_method("fine-tune")
@dataclass(frozen=True, kw_only=True, slots=True)
class FineTune(Method):
    """L = L1(phi_q, kappa), where kappa is initialised with kappa_g (supplement C).

    It is meant for a network that is initialised with weights of the gallery model, such as a
    pruned copy (`--start`); M(q,g) shows how compatible it remains.

    Source: CMP-NAS, Duggal et al., "Compatibility-aware Heterogeneous Visual Search", CVPR 2021,
    https://arxiv.org/abs/2105.06047, supplement C.

    Attributes:
        scale, margin: of the classifier.
    """

    scale: Positive = 24.0
    margin: Number = 0.2
    needs: ClassVar[frozenset[Need]] = frozenset({Need.CLASSIFIER})
    uses_labels: ClassVar[bool] = True

    def loss(self, supervision: Supervision) -> nn.Module:
        """See `Method.loss`."""
        module = QueryClassifier(supervision, scale=self.scale, margin=self.margin)
        with torch.no_grad():
            module.own.weight.copy_(supervision.classifier)
        return module
