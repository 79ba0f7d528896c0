"""Decoupled differences: the loss of D3still over pairs of neighbours."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["DecoupledDifferences"]

FLOOR = 0.1
"""Added to |t_a - t_b|, so that pairs of equally near neighbours do not dominate the loss."""


class DecoupledDifferences(nn.Module):
    """Two terms: pairs of neighbours that the two models order differently, and those alike.

    With t_j = cos(phi_g(x), n_j) and s_j = cos(phi_q(x), n_j) of neighbours n_j, a pair's error is
    r_ab = ((s_a - s_b) - (t_a - t_b)) / (0.1 + |t_a - t_b|). The loss is the mean over images of

        inverted sqrt(mean_ab r_ab^2 [(s_a - s_b)(t_a - t_b) < 0])
        + agreeing sqrt(mean_ab r_ab^2 [(s_a - s_b)(t_a - t_b) > 0])

    Both means are over all pairs, so a pair whose difference is zero in either model counts in
    neither term.

    Source: Xie et al., "D3still: Decoupled Differential Distillation for Asymmetric Image
    Retrieval", CVPR 2024.

    Args:
        inverted: weight of the pairs that the two models order differently.
        agreeing: weight of the pairs that the two models order alike.
    """

    def __init__(self, *, inverted: float = 2.0, agreeing: float = 1.0) -> None:
        super().__init__()
        self.inverted, self.agreeing = inverted, agreeing

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """The mean loss, a scalar.

        Args:
            query: similarities s of the query model to the neighbours, (N, k).
            gallery: similarities t of the gallery model to the neighbours, (N, k).
        """
        ours = query[:, :, None] - query[:, None, :]  # (N, k, k)
        theirs = gallery[:, :, None] - gallery[:, None, :]  # (N, k, k)
        errors = (ours - theirs) / (FLOOR + theirs.abs())
        order = ours.detach() * theirs
        pairs = query.shape[1]
        loss = query.new_zeros(())
        for weight, chosen in ((self.inverted, order < 0), (self.agreeing, order > 0)):
            lengths = torch.linalg.vector_norm(errors * chosen, dim=(1, 2))
            loss = loss + weight * (lengths / pairs).mean()
        return loss
