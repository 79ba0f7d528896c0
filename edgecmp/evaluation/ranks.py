"""Reciprocal ranks of queries, and whether one ranking is clearly better than another.

Used where a setting is chosen on a hold-out, so that a small hold-out chooses nothing by chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgecmp.data.image_set import Integers
from edgecmp.metrics.retrieval import retrieved

__all__ = ["Ranks", "best_by_ranks", "reciprocal_ranks"]

Ranks = NDArray[np.float64]
"""Reciprocal ranks of Q queries, (Q,)."""

Key = TypeVar("Key")

DEPTH = 100
"""Gallery images up to which ranks count; a match behind them counts nothing."""

FEWEST = 30
"""Queries below which nothing is chosen."""

ERRORS = 2.0
"""Standard errors by which the mean reciprocal rank must rise."""


def reciprocal_ranks(
    queries: NDArray[Any],
    query_ids: Integers,
    gallery: NDArray[Any],
    gallery_ids: Integers,
    *,
    cameras: tuple[Integers, Integers] | None = None,
) -> Ranks:
    """1 / rank of the first match of each query, (Q,); 0 if it is behind the first `DEPTH`.

    Arguments and errors are those of `top_k`.
    """
    most = min(DEPTH, len(gallery_ids))
    _, _, hits = retrieved(queries, query_ids, gallery, gallery_ids, most, cameras=cameras)
    return np.where(hits.any(1), 1 / (hits.argmax(1) + 1), 0.0)


def best_by_ranks(known: Ranks, others: Mapping[Key, Ranks]) -> tuple[Key, float, float] | None:
    """The best of some rankings, if it is clearly better than the known one.

    Args:
        known: reciprocal ranks of the queries, (Q,).
        others: the same for each alternative.

    Returns:
        Its key, and the mean reciprocal ranks of the known ranking and of it; None if there are
        fewer than `FEWEST` queries, or the rise is within `ERRORS` standard errors.
    """
    if len(known) < FEWEST or not others:
        return None
    best = max(others, key=lambda one: float(others[one].mean()))
    rise = others[best] - known
    if not rise.mean() > ERRORS * rise.std() / np.sqrt(len(rise)):
        return None
    return best, float(known.mean()), float(others[best].mean())
