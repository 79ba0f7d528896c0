"""The one number that a table keeps of many runs of one file."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from edgecmp.benchmarks.bench.statistic import statistic

__all__ = ["STATISTIC", "SUMMARY_STATISTIC", "TRUNCATION_US", "time_of"]

PERCENTILE = 10

STATISTIC = (
    f"{PERCENTILE}th percentile of the wall time of one run, over all rounds, of the runs without "
    "an involuntary context switch; of thread CPU time where hardly any run is without"
)
"""In words, for the table. On a busy machine the median follows what else runs; a low percentile
is what the device itself needs."""

SUMMARY_STATISTIC = (
    "median over the rounds of the fastest run of each, which is told in whole microseconds, and "
    "half a microsecond"
)
"""Where a device tells no single runs."""

TRUNCATION_US = 0.5
"""What the fastest of many runs is told too short by on average: its microseconds are counted, not
measured. Without it a file that computes nothing would take no time at all."""


def time_of(rounds: Mapping[int, Mapping[str, Any]], *, threads: int) -> float:
    """Milliseconds of one run.

    Args:
        rounds: the runs of each round: wall_us, cpu_us, switches; or min_us of them.
        threads: of the runtime.
    """
    if all("min_us" in visit for visit in rounds.values()):
        return (float(median(visit["min_us"] for visit in rounds.values())) + TRUNCATION_US) / 1000
    wall, cpu, switches = (
        [visit[key] for visit in rounds.values()] for key in ("wall_us", "cpu_us", "switches")
    )
    found = statistic(wall, cpu, switches, threads=threads)
    return found.percentiles_us[PERCENTILE] / 1000
