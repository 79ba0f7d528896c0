"""From the latencies of segments to those of whole networks: one factor and one constant.

The effects that separate segments do not show are similar in all networks of a tier: the constant
accounts for the copies between layers, which do not depend on the choices, and the factor for
caches, which are colder than when one segment runs alone.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import BLOCKS, DEPTH

__all__ = ["calibration_networks", "fit"]

WIDTH_RANGES = ((0, 3), (0, 9), (2, 7), (0, 9), (6, 9))
"""The range of widths of each calibration network: small, large and medium networks, since the
factor could not be determined from networks of similar latency."""


def calibration_networks(
    tier: str, *, embedding_dim: int, input_size: int, seed: int
) -> list[Architecture]:
    """The five calibration networks: whole networks that a table is fitted to."""
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
        sums_ms: sum of the latencies of the segments of each network.
        measured_ms: measured latency of each network.
    """
    sums, measured = np.asarray(sums_ms, np.float64), np.asarray(measured_ms, np.float64)
    system = np.stack([sums, np.ones_like(sums)], 1) / measured[:, None]  # (N, 2)
    (factor, constant), *_ = np.linalg.lstsq(system, np.ones_like(sums), rcond=None)
    return float(factor), float(constant)
