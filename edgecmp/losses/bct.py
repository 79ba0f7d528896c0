"""BCT: the influence loss of backward-compatible training."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["BCT"]


class BCT(nn.Module):
    """Cross-entropy of s (cos(e, k_j) - m [j = y]) with the gallery model's frozen classifier k.

    Added to the classification loss L1 of the query model, it pulls each embedding to the gallery
    model's class vector of the same identity: L = L1(phi_q, kappa_q) + lambda L2(phi_q, kappa_g).

    Source: Shen et al., "Towards Backward-Compatible Representation Learning", CVPR 2020,
    https://arxiv.org/abs/2003.11942.

    Args:
        classifier: the gallery model's classifier, (K, D); it is not trained.
        scale: s.
        margin: m.
    """

    classifier: Tensor

    def __init__(self, classifier: Tensor, *, scale: float = 24.0, margin: float = 0.0) -> None:
        super().__init__()
        frozen = F.normalize(classifier.detach().float(), dim=1)
        self.register_buffer("classifier", frozen, persistent=False)
        self.scale = scale
        self.margin = margin

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Embeddings (N, D) of unit length and labels (N,) to the mean loss, a scalar."""
        cosines = embeddings @ self.classifier.T  # (N, K)
        truth = F.one_hot(labels, cosines.shape[1])
        return F.cross_entropy(self.scale * (cosines - self.margin * truth), labels)
