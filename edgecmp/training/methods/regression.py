"""TargetRegression: the loss module of both regressions, with the gallery's embeddings."""

from __future__ import annotations

from torch import Tensor, nn

from edgecmp.training.methods.method import Batch
from edgecmp.training.supervision import Supervision

__all__ = ["TargetRegression"]


class TargetRegression(nn.Module):
    """Regression to the target of the training image without augmentation.

    Args:
        term: the loss, which takes embeddings and targets (N, D) to a scalar.
        weight: of the loss.
        supervision: the gallery's outputs for the training images.
    """

    targets: Tensor

    def __init__(self, term: nn.Module, weight: float, supervision: Supervision) -> None:
        super().__init__()
        self.term, self.weight = term, weight
        self.register_buffer("targets", supervision.targets, persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar."""
        loss: Tensor = self.weight * self.term(batch.embeddings, self.targets[batch.indices])
        return loss
