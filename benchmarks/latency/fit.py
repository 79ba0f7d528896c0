"""From the times of the segments to those of whole networks: one factor and one constant.

What the segments cannot show is alike in all networks of a tier: the copies between layers, which
no choice changes, go into the constant; caches that are colder than where one segment runs alone go
into the factor.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import BLOCKS, DEPTH

__all__ = ["calibration_networks", "fit"]

WIDTH_RANGES = ((0, 3), (0, 9), (2, 7), (0, 9), (6, 9))
"""Widths that each network of the calibration draws from: small, large and between, so that the
factor is known, not guessed from networks that are all alike."""


def calibration_networks(
    tier: str, *, embedding_dim: int, input_size: int, seed: int
) -> list[Architecture]:
    """The five whole networks that a table is fitted to."""
    generator = random.Random(f"calibration {seed}")
    return [
        Architecture(
            tier=tier,
            blocks=tuple(generator.randrange(len(BLOCKS)) for _ in range(DEPTH)),
            widths=tuple(generator.randint(low, high) for _ in range(DEPTH)),
            embedding_dim=embedding_dim,
            input_size=input_size,
        )
        for low, high in WIDTH_RANGES
    ]


def fit(sums_ms: Sequence[float], measured_ms: Sequence[float]) -> tuple[float, float]:
    """The factor and the constant with the least squared relative errors.

    Args:
        sums_ms: of the segments of each network.
        measured_ms: of the networks.
    """
    sums, measured = np.asarray(sums_ms, np.float64), np.asarray(measured_ms, np.float64)
    system = np.stack([sums, np.ones_like(sums)], 1) / measured[:, None]  # (N, 2)
    (factor, constant), *_ = np.linalg.lstsq(system, np.ones_like(sums), rcond=None)
    return float(factor), float(constant)
