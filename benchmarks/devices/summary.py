"""The summary of the runs of a program that does not report single runs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Summary"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """Wall times of a series of runs, in microseconds; None if not reported.

    `edgecmp.benchmarks.bench.statistic` computes the figures of a row from it.

    Attributes:
        runs: number of runs.
        mean_us, min_us: always reported.
        p50_us, p95_us: reported by newer versions of benchmark_model.
        p90_us: not reported by any version so far.
    """

    runs: int
    mean_us: float
    min_us: float
    p50_us: float | None = None
    p90_us: float | None = None
    p95_us: float | None = None
