"""From scratch: the query network's own margin softmax, as if there were no gallery (vanilla)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgecmp.losses import CosFace
from edgecmp.training.methods.method import Batch, Method, register_method
from edgecmp.training.supervision import Supervision

__all__ = ["OwnClassifier", "Scratch"]


class OwnClassifier(nn.Module):
    """The margin softmax over a classifier that is trained along."""

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
    """L = L1(phi_q, kappa_q), CosFace. M(q,g) is at chance: nothing ties the two spaces.

    Attributes:
        scale, margin: of the classifier.
    """

    scale: float = 24.0
    margin: float = 0.2

    def loss(self, supervision: Supervision) -> nn.Module:
        """See `Method.loss`."""
        return OwnClassifier(supervision, scale=self.scale, margin=self.margin)
