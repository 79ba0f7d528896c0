"""Kendall's tau: the rank correlation of two lists of values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["kendall_tau"]


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Tau-b of two lists of N values: 1 for the same order, -1 for the opposite one.

    Tied pairs count for neither order; nan if all values of a list are equal.
    """
    a, b = (np.asarray(values, np.float64) for values in (first, second))
    above = np.triu_indices(len(a), 1)
    orders = [np.sign(values[:, None] - values[None, :])[above] for values in (a, b)]
    agreement = (orders[0] * orders[1]).sum()
    untied = np.sqrt(np.prod([np.abs(order).sum() for order in orders]))
    return float(agreement / untied) if untied else float("nan")
