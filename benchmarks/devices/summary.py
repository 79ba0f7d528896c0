"""What a program that tells no single runs says of them: the figures that are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Summary", "summary_row"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """Wall times of a series of runs, in microseconds; None is not known.

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


def summary_row(visits: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of one row of a bench whose visits are summaries.

    Args:
        visits: documents as `BenchmarkModel.time` returns them, at least one.

    Returns:
        The row's statistics. Which runs were preempted is not known, so all count: p50_ms is the
        median over the visits of each visit's median, mean_ms the mean over all runs; "statistic"
        says so. What is not known is None.
    """
    summaries = [visit["summary"] for visit in visits]

    def median(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.median(known)) / 1000 if len(known) == len(values) else None

    runs = [summary["runs"] for summary in summaries]
    p50_ms = median([summary["p50_us"] for summary in summaries])
    peaks = [visit["peak_memory_kb"] for visit in visits if visit["peak_memory_kb"] is not None]
    known = "medians" if p50_ms is not None else "mean, no median known"
    return {
        "p50_ms": p50_ms,
        "p90_ms": median([summary["p90_us"] for summary in summaries]),
        "min_ms": min(summary["min_us"] for summary in summaries) / 1000,
        "mean_ms": float(np.average([one["mean_us"] for one in summaries], weights=runs)) / 1000,
        "first_ms": median([visit["first_us"] for visit in visits]),
        "init_ms": median([visit["init_us"] for visit in visits]),
        "peak_memory_mb": max(peaks) / 1024 if peaks else None,
        "memory_before_mb": None,
        "runs": sum(runs),
        "preempted": None,
        "statistic": f"benchmark_model's {known}; all runs",
    }
