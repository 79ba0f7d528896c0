"""From scratch: margin softmax over a trained classifier, without a gallery (vanilla)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from edgecmp.losses import CosFace
from edgecmp.training.fields import Number, Positive
from edgecmp.training.methods.method import Batch, Method, register_method
from edgecmp.training.supervision import Supervision

__all__ = ["QueryClassifier", "Scratch"]


class QueryClassifier(nn.Module):
    """Margin softmax over a classifier that is trained with the query network."""

    def __init__(self, supervision: Supervision, *, scale: float, margin: float) -> None:
        super().__init__()
        self.own = CosFace(
            supervision.classes, supervision.embedding_dim, scale=scale, margin=margin
        )

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar."""
        loss: Tensor = self.own(batch.embeddings, batch.labels)
        return loss


@register_method("scratch")
@dataclass(frozen=True, kw_only=True, slots=True)
class Scratch(Method):
    """L = L1(phi_q, kappa_q), CosFace; M(q,g) is at chance, since the gallery is not used.

    Source: Wang et al., "CosFace: Large Margin Cosine Loss for Deep Face Recognition", CVPR 2018,
    https://arxiv.org/abs/1801.09414.

    Attributes:
        scale, margin: of the classifier.
    """

    scale: Positive = 24.0
    margin: Number = 0.2
    uses_labels: ClassVar[bool] = True

    def loss(self, supervision: Supervision) -> nn.Module:
        """See `Method.loss`."""
        return QueryClassifier(supervision, scale=self.scale, margin=self.margin)
