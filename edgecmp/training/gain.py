"""The gain of a trained query network's last batch norm, chosen on the hold-out.

A network that regresses to a gallery's embeddings predicts their mean where it is unsure, so that
its embeddings differ less from one another than the gallery's do. In a gallery whose embeddings
share a large mean, as the averaged activations of a classifier do, the mean then decides the
ranking. The gain spreads the embeddings again: it multiplies what the last batch norm adds to its
bias, which is the mean of the values that are scaled to unit length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgecmp.evaluation.holdout import HoldOut
from edgecmp.evaluation.ranks import best_by_ranks, reciprocal_ranks
from edgecmp.networks.embed import embed

__all__ = ["GAINS", "Gain", "spread"]

GAINS = (1.2, 1.4, 1.7, 2.0, 2.5, 3.0)


@dataclass(frozen=True, slots=True)
class Gain:
    """The result of `spread`.

    Attributes:
        value: the gain.
        before, after: mean reciprocal ranks of M(q,g) on the hold-out, 0..1.
    """

    value: float
    before: float
    after: float


@torch.no_grad()
def spread(network: nn.Module, holdout: HoldOut) -> Gain | None:
    """Multiplies the weights of the last batch norm of vectors by a gain, in place.

    Args:
        network: in evaluation mode; takes normalised images (N, 3, S, S) to embeddings (N, D).
        holdout: its queries and its gallery's embeddings choose the gain.

    Returns:
        The gain, its figures included; None, with the network unchanged, if no gain is clearly
        better than none, the hold-out is too small, or the network has no such batch norm.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d)]
    if not norms or not norms[-1].affine:
        return None
    norm = norms[-1]
    parts: list[Tensor] = []
    hook = norm.register_forward_hook(lambda module, inputs, output: parts.append(output.float()))
    queries = holdout.images[: len(holdout.query_ids)]
    try:
        embed(network, queries, holdout.preprocessing)
    finally:
        hook.remove()
    values, mean = torch.cat(parts), norm.bias.float()
    by_gain = {gain: _ranks(mean + gain * (values - mean), holdout) for gain in GAINS}
    best = best_by_ranks(_ranks(values, holdout), by_gain)
    if best is None:
        return None
    gain, before, after = best
    norm.weight.mul_(gain)
    return Gain(gain, before, after)


def _ranks(values: Tensor, holdout: HoldOut) -> NDArray[Any]:
    """The reciprocal ranks (Q,) of the hold-out's queries."""
    return reciprocal_ranks(
        torch.nn.functional.normalize(values, dim=1).numpy(),
        holdout.query_ids,
        holdout.gallery_embeddings,
        holdout.gallery_ids,
        cameras=holdout.cameras,
    )
