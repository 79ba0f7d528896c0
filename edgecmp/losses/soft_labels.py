"""Soft labels: knowledge distillation from the gallery model's classifier."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["SoftLabels"]


class SoftLabels(nn.Module):
    """T^2 KL(softmax(l_g / T) || softmax(l_q / T)) of the two models' logits.

    The factor T^2 keeps the size of the gradients independent of T. The loss matches the outputs of
    the two classifiers, not the embeddings themselves, so M(q,g) stays at chance (supplement C).

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015,
    https://arxiv.org/abs/1503.02531.

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
