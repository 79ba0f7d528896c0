"""Bootstrap over queries: how far a figure would move if other queries had been asked."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Redraws", "interval", "redraws"]

Redraws: TypeAlias = NDArray[np.float32]
"""(R, Q): how often each query comes in each redraw; a row sums to Q."""

DRAWS = 2000
LEAST_DRAWS = 200
CELLS = 20_000_000


def redraws(queries: int, *, seed: int) -> Redraws:
    """Redraws of that many queries with replacement, fewer where they are very many."""
    draws = min(DRAWS, max(LEAST_DRAWS, CELLS // queries))
    generator = np.random.default_rng(seed)
    counts = np.empty((draws, queries), np.float32)
    for row in counts:
        row[:] = np.bincount(generator.integers(0, queries, queries), minlength=queries)
    return counts


def interval(
    weights: Redraws, values: NDArray[Any], counts: NDArray[Any] | None = None
) -> tuple[float, float]:
    """95 % interval of sum(values) / sum(counts) over the redrawn queries.

    Args:
        weights: (R, Q).
        values: (Q,) what each query adds, such as -1, 0 or 1 for a change.
        counts: (Q,) out of how many, such as its pairs; one each if None.
    """
    sums = weights @ np.asarray(values, np.float32)  # (R,)
    out_of = weights.sum(1) if counts is None else weights @ np.asarray(counts, np.float32)
    low, high = np.percentile(sums / np.maximum(out_of, 1e-9), (2.5, 97.5))
    return float(low), float(high)
