"""Soft labels: what the gallery model's classifier says of an image (Hinton et al. 2015)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["SoftLabels"]


class SoftLabels(nn.Module):
    """T^2 KL(softmax(l_g / T) || softmax(l_q / T)) of the two models' logits.

    The factor T^2 keeps the gradients' size when T changes. It ties the answers of two classifiers
    and leaves open where the embeddings lie, so M(q,g) stays at chance (supplement C).

    Args:
        temperature: T.
    """

    def __init__(self, *, temperature: float = 4.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits of the query and of the gallery model, (N, K) each, to the mean loss, a scalar."""
        divergence = F.kl_div(
            F.log_softmax(logits / self.temperature, dim=1),
            F.log_softmax(targets / self.temperature, dim=1),
            log_target=True,
            reduction="batchmean",
        )
        return self.temperature**2 * divergence
