"""The Pareto front: the candidates that no other dominates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["pareto_front"]


def pareto_front(costs: NDArray[np.float64]) -> NDArray[np.intp]:
    """Which rows no other row dominates.

    A row dominates another if none of its costs is larger and at least one is smaller; equal rows
    do not dominate each other.

    Args:
        costs: (N, K), each to be minimised.

    Returns:
        The indices of those rows, ascending.
    """
    dominated = [bool(((costs <= row).all(1) & (costs < row).any(1)).any()) for row in costs]
    return np.flatnonzero(~np.array(dominated, bool))
