"""The one number that a table keeps of many runs of one file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgecmp.benchmarks.statistic import statistic

__all__ = ["STATISTIC", "time_of"]

PERCENTILE = 10

STATISTIC = (
    f"{PERCENTILE}th percentile of the wall time of one run, over all rounds, of the runs without "
    "an involuntary context switch; of thread CPU time where hardly any run is without"
)
"""In words, for the table. On a busy machine the median follows what else runs; a low percentile
is what the device itself needs."""


def time_of(rounds: Mapping[int, Mapping[str, Any]], *, threads: int) -> float:
    """Milliseconds of one run.

    Args:
        rounds: the runs of each round: wall_us, cpu_us, switches.
        threads: of the runtime.
    """
    wall, cpu, switches = (
        [visit[key] for visit in rounds.values()] for key in ("wall_us", "cpu_us", "switches")
    )
    found = statistic(wall, cpu, switches, threads=threads)
    return found.percentiles_us[PERCENTILE] / 1000
