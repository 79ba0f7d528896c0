"""Contextual similarity: an image's similarities to its neighbours, matched by a KL divergence."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ContextualSimilarity"]


class ContextualSimilarity(nn.Module):
    """KL(softmax(t / tau_g) || softmax(s / tau_q)) over the neighbours of each image.

    Here n_j are the gallery model's embeddings of the k images that it finds nearest to image x,
    t_j = cos(phi_g(x), n_j) and s_j = cos(phi_q(x), n_j). With tau_q = tau_g the loss is zero if
    both models assign the same similarities to the neighbours.

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

    def forward(self, embeddings: Tensor, neighbours: Tensor, similarities: Tensor) -> Tensor:
        """The mean loss, a scalar.

        Args:
            embeddings: the query model's, (N, D), of unit length.
            neighbours: the gallery model's embeddings of each image's neighbours, (N, k, D).
            similarities: t, (N, k).
        """
        query_similarities = torch.einsum("nd,nkd->nk", embeddings, neighbours)
        return F.kl_div(
            F.log_softmax(query_similarities / self.query_temperature, dim=1),
            F.log_softmax(similarities / self.gallery_temperature, dim=1),
            log_target=True,
            reduction="batchmean",
        )
