"""The part that both regressions share: the gallery's embeddings of the training images."""

from __future__ import annotations

from torch import Tensor, nn

from edgecmp.training.methods.method import Batch
from edgecmp.training.supervision import Supervision

__all__ = ["ToTable"]


class ToTable(nn.Module):
    """A loss between the query network's embedding and the gallery's of the image as it is.

    Args:
        term: takes embeddings and targets (N, D) to a scalar.
        weight: of the term.
    """

    targets: Tensor

    def __init__(self, term: nn.Module, weight: float, supervision: Supervision) -> None:
        super().__init__()
        self.term, self.weight = term, weight
        self.register_buffer("targets", supervision.embeddings, persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar."""
        loss: Tensor = self.weight * self.term(batch.embeddings, self.targets[batch.indices])
        return loss
