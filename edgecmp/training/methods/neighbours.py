"""Neighbours: the gallery model's nearest training images of each training image."""

from __future__ import annotations

from torch import Tensor, nn

from edgecmp.training.supervision import Supervision

__all__ = ["Neighbours"]


class Neighbours(nn.Module):
    """Looks up neighbours among the gallery model's embeddings of all training images.

    Args:
        supervision: the gallery's outputs for the N training images.
        count: k.
        with_itself: whether an image is its own first neighbour.

    Attributes:
        embeddings: of all training images, (N, D).
    """

    embeddings: Tensor
    cosines: Tensor
    nearest: Tensor

    def __init__(self, supervision: Supervision, count: int, *, with_itself: bool) -> None:
        super().__init__()
        first = 0 if with_itself else 1
        cosines, nearest = supervision.neighbours(count + first)
        self.register_buffer("embeddings", supervision.embeddings, persistent=False)
        self.register_buffer("cosines", cosines[:, first:], persistent=False)
        self.register_buffer("nearest", nearest[:, first:], persistent=False)

    def forward(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Training indices (B,) to embeddings (B, k, D) and cosines (B, k) of the neighbours."""
        return self.embeddings[self.nearest[indices]], self.cosines[indices]
