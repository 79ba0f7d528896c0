"""What a program that tells no single runs says of them: the figures that are known."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Summary"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """Wall times of a series of runs, in microseconds; None is not known.

    `edgecmp.benchmarks.bench.statistic` makes the figures of a row of it.

    Attributes:
        runs: how many there were.
        mean_us, min_us: always known.
        p50_us, p95_us: told by newer versions of benchmark_model.
        p90_us: told by none of its versions so far.
    """

    runs: int
    mean_us: float
    min_us: float
    p50_us: float | None = None
    p90_us: float | None = None
    p95_us: float | None = None
