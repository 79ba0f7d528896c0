"""Latency statistics of many timed runs, robust to other load on the machine.

The wall time of a run during which the process was preempted includes the time of other processes
and says nothing about the model. The figures are therefore computed from the first of these sets of
times that is usable:

1. "not preempted": wall time of the runs without an involuntary context switch, if no run had one,
   or if at least `LEAST_CLEAN` runs and `LEAST_CLEAN_SHARE` of all runs had none;
2. "thread CPU time": processor time of the calling thread in all runs, if the runtime has one
   thread (with more threads, it is only part of the model's processor time);
3. "all runs": wall time of all runs.

The name is part of the result: figures with different names are not comparable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "ALL_RUNS",
    "CPU_TIME",
    "NOT_PREEMPTED",
    "SUMMARY",
    "Statistic",
    "statistic",
    "summary_statistic",
]

NOT_PREEMPTED = "not preempted"
CPU_TIME = "thread CPU time"
ALL_RUNS = "all runs"
SUMMARY = "the device's summary"

LEAST_CLEAN = 10
"""Fewest runs without preemption from which the figures are computed if others were preempted."""

LEAST_CLEAN_SHARE = 0.2
LEAST_FOR_P99 = 100
"""Fewest counted runs for a 99th percentile: one of them is slower than it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistic:
    """The statistics of many runs of one model.

    Attributes:
        name: which times the figures are computed from; see the module docstring.
        p50_us, p90_us, min_us: median, 90th percentile and minimum.
        p99_us: 99th percentile; None where fewer than `LEAST_FOR_P99` runs count.
        percentiles_us: the 0th to the 100th, (101,); empty where the device reports only a summary.
        runs: number of timed runs.
        counted: number of runs that the figures are computed from.
        preempted: number of runs with an involuntary context switch; None if it is not known.
    """

    name: str
    p50_us: float
    p90_us: float | None
    p99_us: float | None
    min_us: float
    percentiles_us: tuple[float, ...]
    runs: int
    counted: int
    preempted: int | None


def statistic(
    wall_us: Sequence[Sequence[float]],
    cpu_us: Sequence[Sequence[float]] | None,
    switches: Sequence[Sequence[int]] | None,
    *,
    threads: int,
) -> Statistic:
    """The statistics of one model's runs in one or several visits.

    Args:
        wall_us: wall time of each run, one sequence per visit; at least one run in all.
        cpu_us: processor time of the calling thread in each run; None if it is not known.
        switches: involuntary context switches during each run; None if they are not known, or if
            every run must count.
        threads: number of threads of the runtime.
    """
    wall = np.concatenate([np.asarray(visit, np.float64) for visit in wall_us])
    name, times, preempted = ALL_RUNS, wall, None
    if switches is not None:
        clean = np.concatenate([np.asarray(visit, np.int64) for visit in switches]) == 0
        preempted = int((~clean).sum())
        if clean.sum() >= min(len(wall), max(LEAST_CLEAN, LEAST_CLEAN_SHARE * len(wall))):
            name, times = NOT_PREEMPTED, wall[clean]
        elif cpu_us is not None and threads == 1:
            name = CPU_TIME
            times = np.concatenate([np.asarray(visit, np.float64) for visit in cpu_us])
    percentiles = np.percentile(times, np.arange(101))
    return Statistic(
        name=name,
        p50_us=float(percentiles[50]),
        p90_us=float(percentiles[90]),
        p99_us=float(percentiles[99]) if len(times) >= LEAST_FOR_P99 else None,
        min_us=float(percentiles[0]),
        percentiles_us=tuple(percentiles.tolist()),
        runs=len(wall),
        counted=len(times),
        preempted=preempted,
    )


def summary_statistic(summaries: Sequence[Mapping[str, Any]]) -> Statistic:
    """The statistics of visits for which the device reports only a summary.

    Args:
        summaries: one per visit, at least one: min_us, mean_us, runs, and p50_us and p90_us or
            None. Several visits are combined by their median, except min_us by its minimum. If a
            visit has no median, the means are used, and the name says so.
    """

    def median(key: str) -> float:
        return float(np.median([summary[key] for summary in summaries]))

    def has(key: str) -> bool:
        return all(summary.get(key) is not None for summary in summaries)

    runs = sum(summary["runs"] for summary in summaries)
    return Statistic(
        name=SUMMARY if has("p50_us") else f"{SUMMARY} (mean)",
        p50_us=median("p50_us") if has("p50_us") else median("mean_us"),
        p90_us=median("p90_us") if has("p90_us") else None,
        p99_us=None,
        min_us=float(min(summary["min_us"] for summary in summaries)),
        percentiles_us=(),
        runs=runs,
        counted=runs,
        preempted=None,
    )
