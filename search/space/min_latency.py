"""The fastest architecture under a FLOPs budget, by dynamic programming."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecmp.networks.tiers import DEPTH
from edgecmp.search.space.flops import FlopsTable

__all__ = ["fastest_choices"]


def fastest_choices(
    table: FlopsTable, budget: int, layer_ms: NDArray[np.float64]
) -> NDArray[np.intp]:
    """The choices (block * 10 + width) with the smallest summed latency within a FLOPs budget.

    Exact: for each number of remaining FLOPs, the smallest latency of layers i..19 follows from
    that of layers i+1..19; FLOPs are counted in units of their greatest common divisor.

    Args:
        table: counts the FLOPs.
        budget: FLOPs, at least those of the smallest architecture.
        layer_ms: (20, 40) latency in ms of each choice of each layer.

    Returns:
        (20,) choices.
    """
    unbounded: NDArray[np.intp] = layer_ms.argmin(1)
    layers = np.arange(DEPTH)
    if table.fixed_flops + table.layer_flops[layers, unbounded].sum() <= budget:
        return unbounded
    smallest = table.layer_flops.min(1)
    excess = table.layer_flops - smallest[:, None]
    divisor = int(np.gcd.reduce(excess, axis=None))
    steps = excess // divisor
    bins = (budget - table.fixed_flops - int(smallest.sum())) // divisor
    best = np.full((DEPTH + 1, bins + 1), np.inf)
    best[DEPTH] = 0
    for layer in reversed(range(DEPTH)):
        for step, cost in zip(steps[layer].tolist(), layer_ms[layer].tolist(), strict=True):
            if step <= bins:
                latencies = best[layer, step:]
                np.minimum(latencies, best[layer + 1, : bins + 1 - step] + cost, out=latencies)
    chosen = np.empty(DEPTH, np.intp)
    remaining = bins
    for layer in range(DEPTH):
        after = remaining - steps[layer]
        totals = np.where(after >= 0, best[layer + 1][np.maximum(after, 0)], np.inf)
        chosen[layer] = (totals + layer_ms[layer]).argmin()
        remaining = int(after[chosen[layer]])
    return chosen
