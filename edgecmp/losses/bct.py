"""BCT: the influence of the gallery model's frozen classifier (Shen et al. 2020)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["BCT"]


class BCT(nn.Module):
    """Cross-entropy of s (cos(e, k_j) - m [j = y]) with the gallery's classifier k, kept frozen.

    Added to a query model's own classification loss it pulls each embedding to where the gallery
    model puts that identity: L = L1(phi_q, kappa_q) + lambda L2(phi_q, kappa_g).

    Args:
        classifier: the gallery model's classifier, (K, D); never trained.
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
