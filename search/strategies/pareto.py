"""The candidates that no other beats in everything: the Pareto front."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["pareto_front"]


def pareto_front(costs: NDArray[np.float64]) -> NDArray[np.intp]:
    """Which rows no other row dominates.

    A row dominates another if it is nowhere larger and somewhere smaller; of equal rows all stay.

    Args:
        costs: (N, K), each to be small.

    Returns:
        The positions of those rows, ascending.
    """
    dominated = [bool(((costs <= row).all(1) & (costs < row).any(1)).any()) for row in costs]
    return np.flatnonzero(~np.array(dominated, bool))
