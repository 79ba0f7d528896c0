"""Squared distance: regression to the gallery's embedding by mean squared error."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["SquaredDistance"]


class SquaredDistance(nn.Module):
    """Mean of ||e - g||^2 over the images, with g the gallery model's embedding.

    For embeddings of unit length it is twice `EmbeddingRegression`: the two have one optimum, and
    the same weight pulls twice as hard here.
    """

    def forward(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        """Query and gallery embeddings (N, D) to the mean loss, a scalar."""
        return (embeddings - targets).square().sum(1).mean()
