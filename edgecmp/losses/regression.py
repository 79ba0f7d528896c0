"""Embedding regression: the query model learns the gallery's embedding of an image."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["EmbeddingRegression"]


class EmbeddingRegression(nn.Module):
    """Mean of 1 - cos(e, g), with g the gallery model's embedding; needs no labels.

    On unit vectors this is half the squared distance, so it is the MSE regression of the
    asymmetric-retrieval literature up to a factor.
    """

    def forward(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        """Query and gallery embeddings (N, D) of unit length to the mean loss, a scalar."""
        return (1.0 - (embeddings * targets).sum(1)).mean()
