"""Embedding regression: the query model learns the gallery's embedding of the same image."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["EmbeddingRegression"]


class EmbeddingRegression(nn.Module):
    """Mean of 1 - cos(e, g), with g the gallery model's embedding; needs no labels.

    On unit vectors this is half the squared distance, so it is the MSE regression of the
    asymmetric-retrieval literature up to a factor.

    Args:
        targets: the gallery model's embeddings of all training images, (M, D), unit length.
    """

    targets: Tensor

    def __init__(self, targets: Tensor) -> None:
        super().__init__()
        self.register_buffer("targets", targets.detach().float(), persistent=False)

    def forward(self, embeddings: Tensor, images: Tensor) -> Tensor:
        """Embeddings (N, D) of the training images with those indices (N,) to a scalar."""
        return (1.0 - (embeddings * self.targets[images]).sum(1)).mean()
