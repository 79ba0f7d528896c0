"""Wilson's interval: how far a share of few queries may be from that of all possible queries.

Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA
22 (1927), without correction for continuity. Unlike the usual interval around the measured share,
it stays within 0..1 and keeps its coverage for few queries and for shares near 0 and 1.
"""

from __future__ import annotations

import math

__all__ = ["FEW_QUERIES", "wilson"]

FEW_QUERIES = 100
"""Figures that rest on fewer queries are said with their interval."""

_Z = 1.959963984540054
"""Of the normal distribution: 95 % lie within this many standard deviations."""


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share that was measured on `count` independent queries.

    Args:
        share: 0..1.
        count: at least 1.

    Returns:
        The lower and the upper bound, 0..1.
    """
    spread = _Z**2 / count
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)
