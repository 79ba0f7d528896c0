"""Decoupled differences: D3still's pairs of neighbours, wrongly and rightly ordered apart."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["DecoupledDifferences"]

FLOOR = 0.1
"""Added to |t_a - t_b|, so that neighbours which are equally near do not dominate."""


class DecoupledDifferences(nn.Module):
    """Two losses over pairs of an image's neighbours (Xie et al., CVPR 2024).

    With t_j = cos(phi_g(x), n_j) and s_j = cos(phi_q(x), n_j) of neighbours n_j, a pair's error is
    r_ab = ((s_a - s_b) - (t_a - t_b)) / (0.1 + |t_a - t_b|). The loss is the mean over images of

        inverted sqrt(mean_ab r_ab^2 [pair in the wrong order])
        + agreeing sqrt(mean_ab r_ab^2 [pair in the right order])

    Both means go over all pairs; a pair on which either model sees no difference is in neither.

    Args:
        inverted: weight of pairs that the query model orders the other way round.
        agreeing: weight of pairs that both models order alike.
    """

    def __init__(self, *, inverted: float = 2.0, agreeing: float = 1.0) -> None:
        super().__init__()
        self.inverted, self.agreeing = inverted, agreeing

    def forward(self, own: Tensor, similarities: Tensor) -> Tensor:
        """Similarities s and t to the neighbours, (N, k) each, to the mean loss, a scalar."""
        ours = own[:, :, None] - own[:, None, :]  # (N, k, k)
        theirs = similarities[:, :, None] - similarities[:, None, :]
        errors = (ours - theirs) / (FLOOR + theirs.abs())
        order = ours.detach() * theirs
        pairs = own.shape[1]
        loss = own.new_zeros(())
        for weight, chosen in ((self.inverted, order < 0), (self.agreeing, order > 0)):
            lengths = torch.linalg.vector_norm(errors * chosen, dim=(1, 2))
            loss = loss + weight * (lengths / pairs).mean()
        return loss
