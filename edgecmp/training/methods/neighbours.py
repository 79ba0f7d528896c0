"""Neighbours: the training images that the target of each training image finds first."""

from __future__ import annotations

from torch import Tensor, nn

from edgecmp.training.supervision import Supervision

__all__ = ["Neighbours"]


class Neighbours(nn.Module):
    """Looks up neighbours among the anchors of all training images.

    Args:
        supervision: the gallery's outputs for the N training images.
        count: k.
        with_itself: whether an image is its own first neighbour.

    Attributes:
        targets: of all training images, (N, D).
    """

    targets: Tensor
    anchors: Tensor
    similarities: Tensor
    nearest: Tensor

    def __init__(self, supervision: Supervision, count: int, *, with_itself: bool) -> None:
        super().__init__()
        first = 0 if with_itself else 1
        similarities, nearest = supervision.neighbours(count + first)
        self.register_buffer("targets", supervision.targets, persistent=False)
        self.register_buffer("anchors", supervision.anchors, persistent=False)
        self.register_buffer("similarities", similarities[:, first:], persistent=False)
        self.register_buffer("nearest", nearest[:, first:], persistent=False)

    def forward(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Training indices (B,) to anchors (B, k, D), and the targets' similarities to them."""
        return self.anchors[self.nearest[indices]], self.similarities[indices]
