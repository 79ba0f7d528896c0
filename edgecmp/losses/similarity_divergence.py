"""Similarity divergence: an image's similarities to other images, matched by a KL divergence."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["SimilarityDivergence"]


class SimilarityDivergence(nn.Module):
    """KL(softmax(t / tau_g) || softmax(s / tau_q)) over the anchors of each image.

    Here n_j are the gallery model's embeddings of k images, the anchors of image x,
    t_j = cos(phi_g(x), n_j) and s_j = cos(phi_q(x), n_j). With tau_q = tau_g the loss is zero if
    both models assign the same similarities to the anchors; a constant that is added to all of an
    image's similarities changes nothing, as it does not change their order.

    Source: Wu et al., "Contextual Similarity Distillation for Asymmetric Image Retrieval",
    CVPR 2022.

    Args:
        query_temperature: tau_q.
        gallery_temperature: tau_g; a value below tau_q sharpens the gallery model's distribution.
    """

    def __init__(self, *, query_temperature: float = 0.1, gallery_temperature: float = 0.1) -> None:
        super().__init__()
        self.query_temperature = query_temperature
        self.gallery_temperature = gallery_temperature

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """The mean loss, a scalar.

        Args:
            query: similarities s of the query model to the anchors, (N, k).
            gallery: similarities t of the gallery model to the anchors, (N, k).
        """
        return F.kl_div(
            F.log_softmax(query / self.query_temperature, dim=1),
            F.log_softmax(gallery / self.gallery_temperature, dim=1),
            log_target=True,
            reduction="batchmean",
        )
