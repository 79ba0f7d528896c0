"""CosFace: softmax over cosines with a margin on the true class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CosFace"]


class CosFace(nn.Module):
    """Cross-entropy of s (cos(e, w_j) - m [j = y]) with a trainable classifier w.

    Source: Wang et al., "CosFace: Large Margin Cosine Loss for Deep Face Recognition", CVPR 2018,
    https://arxiv.org/abs/1801.09414.

    Args:
        classes: number of training identities, K.
        embedding_dim: D.
        scale: s.
        margin: m; with 0 this is the plain normalised softmax.

    Attributes:
        weight: the classifier, (K, D); its rows are normalised when used.
    """

    def __init__(
        self, classes: int, embedding_dim: int, *, scale: float = 24.0, margin: float = 0.2
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, embedding_dim))
        nn.init.normal_(self.weight, std=embedding_dim**-0.5)
        self.scale = scale
        self.margin = margin

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Embeddings (N, D) of unit length and labels (N,) to the mean loss, a scalar."""
        cosines = embeddings @ F.normalize(self.weight, dim=1).T  # (N, K)
        truth = F.one_hot(labels, cosines.shape[1])
        return F.cross_entropy(self.scale * (cosines - self.margin * truth), labels)
