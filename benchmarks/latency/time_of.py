"""The latency of one file, computed from many runs, as stored in a latency table."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from edgecmp.benchmarks.bench.statistic import statistic

__all__ = ["STATISTIC", "SUMMARY_STATISTIC", "TRUNCATION_US", "time_of"]

PERCENTILE = 10

STATISTIC = (
    f"{PERCENTILE}th percentile, over all rounds, of the wall time of the runs without an "
    "involuntary context switch; of the thread CPU time of all runs where too few were without one"
)
"""The description in the table. On a busy machine the median depends on other programs; a low
percentile is close to the time that the device itself needs."""

SUMMARY_STATISTIC = (
    "median over the rounds of the fastest run of each round, which is reported in whole "
    "microseconds, plus half a microsecond"
)
"""The description for a device that does not report single runs."""

TRUNCATION_US = 0.5
"""Average error of the fastest run, which is truncated to whole microseconds. Without this
correction, a file that computes nothing would take no time."""


def time_of(rounds: Mapping[int, Mapping[str, Any]], *, threads: int) -> float:
    """The latency of one run, in ms.

    Args:
        rounds: the runs of each round: wall_us, cpu_us and switches, or only their min_us.
        threads: number of threads of the runtime.
    """
    if all("min_us" in visit for visit in rounds.values()):
        return (float(median(visit["min_us"] for visit in rounds.values())) + TRUNCATION_US) / 1000
    wall, cpu, switches = (
        [visit[key] for visit in rounds.values()] for key in ("wall_us", "cpu_us", "switches")
    )
    found = statistic(wall, cpu, switches, threads=threads)
    return found.percentiles_us[PERCENTILE] / 1000
