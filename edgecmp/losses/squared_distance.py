"""Squared distance to the gallery model's embedding of the same image."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["SquaredDistance"]


class SquaredDistance(nn.Module):
    """Mean of ||e - g||^2 over the images, where g is the gallery model's embedding.

    For embeddings of unit length it is twice `EmbeddingRegression`, with the same optimum and, at
    the same weight, twice the gradient.

    Source: Budnik and Avrithis, "Asymmetric Metric Learning for Knowledge Transfer", CVPR 2021,
    https://arxiv.org/abs/2006.16331.
    """

    def forward(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        """Query and gallery embeddings (N, D) to the mean loss, a scalar."""
        return (embeddings - targets).square().sum(1).mean()
