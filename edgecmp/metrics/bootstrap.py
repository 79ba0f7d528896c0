"""Bootstrap over queries: how much a figure would vary with another sample of queries."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Resamples", "interval", "resamples"]

Resamples: TypeAlias = NDArray[np.float32]
"""(R, Q): how often each query occurs in each resample; a row sums to Q."""

RESAMPLES = 2000
LEAST_RESAMPLES = 200
CELLS = 20_000_000
"""Bound of R * Q, unless it leaves fewer than `LEAST_RESAMPLES`."""


def resamples(queries: int, *, seed: int) -> Resamples:
    """Bootstrap resamples of the queries, with replacement.

    Args:
        queries: Q, how many there are.
        seed: of the random numbers.

    Returns:
        (R, Q), with R = 2,000, or fewer for many queries, but at least 200.
    """
    count = min(RESAMPLES, max(LEAST_RESAMPLES, CELLS // queries))
    generator = np.random.default_rng(seed)
    counts = np.empty((count, queries), np.float32)
    for row in counts:
        row[:] = np.bincount(generator.integers(0, queries, queries), minlength=queries)
    return counts


def interval(
    weights: Resamples, values: NDArray[Any], counts: NDArray[Any] | None = None
) -> tuple[float, float]:
    """95 % percentile interval of sum(values) / sum(counts) over the resamples.

    Args:
        weights: (R, Q) resamples.
        values: (Q,) what each query contributes, such as -1, 0 or 1 for a change.
        counts: (Q,) denominators, such as the number of a query's pairs; None: 1 each.
    """
    sums = weights @ np.asarray(values, np.float32)  # (R,)
    out_of = weights.sum(1) if counts is None else weights @ np.asarray(counts, np.float32)
    low, high = np.percentile(sums / np.maximum(out_of, 1e-9), (2.5, 97.5))
    return float(low), float(high)
