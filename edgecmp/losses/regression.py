"""Embedding regression: cosine distance to the gallery model's embedding of the same image."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["EmbeddingRegression"]


class EmbeddingRegression(nn.Module):
    """Mean of 1 - cos(e, g), where g is the gallery model's embedding; needs no labels.

    For unit vectors this is half the squared distance, and thus equal to the regression loss of
    Budnik and Avrithis up to a factor.

    Source: Budnik and Avrithis, "Asymmetric Metric Learning for Knowledge Transfer", CVPR 2021,
    https://arxiv.org/abs/2006.16331.
    """

    def forward(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        """Query and gallery embeddings (N, D) of unit length to the mean loss, a scalar."""
        return (1.0 - (embeddings * targets).sum(1)).mean()
