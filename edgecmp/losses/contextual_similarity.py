"""Contextual similarity: how near an image is to its neighbours in the gallery (Wu et al. 2022)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ContextualSimilarity"]


class ContextualSimilarity(nn.Module):
    """KL(softmax(t / tau_g) || softmax(s / tau_q)) over the neighbours of each image.

    With gallery embeddings n_j of the k images nearest to image x by the gallery model,
    t_j = cos(phi_g(x), n_j) and s_j = cos(phi_q(x), n_j). It is zero where both models see x at the
    same place among its neighbours, if tau_q = tau_g.

    Args:
        query_temperature: tau_q.
        gallery_temperature: tau_g; smaller than tau_q sharpens what the gallery model says.
    """

    def __init__(self, *, query_temperature: float = 0.1, gallery_temperature: float = 0.1) -> None:
        super().__init__()
        self.query_temperature = query_temperature
        self.gallery_temperature = gallery_temperature

    def forward(self, embeddings: Tensor, neighbours: Tensor, similarities: Tensor) -> Tensor:
        """The mean loss, a scalar.

        Args:
            embeddings: of the query model, (N, D), of unit length.
            neighbours: gallery embeddings of each image's neighbours, (N, k, D).
            similarities: t, (N, k).
        """
        own = torch.einsum("nd,nkd->nk", embeddings, neighbours)
        return F.kl_div(
            F.log_softmax(own / self.query_temperature, dim=1),
            F.log_softmax(similarities / self.gallery_temperature, dim=1),
            log_target=True,
            reduction="batchmean",
        )
