"""The one number that a table keeps of many runs of one file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgecmp.benchmarks.devices.benchmark_model import NAME
from edgecmp.benchmarks.statistic import statistic

__all__ = ["statistic_of", "time_of"]

PERCENTILE = 10

STATISTIC = (
    f"{PERCENTILE}th percentile of the wall time of one run, over all rounds, of the runs without "
    "an involuntary context switch; of thread CPU time where hardly any run is without"
)
"""In words, for the table. On a busy machine the median follows what else runs; a low percentile
is what the device itself needs."""

LEAST = "least wall time of one run over all rounds, as benchmark_model tells no single runs"


def statistic_of(runtime: str) -> str:
    """What `time_of` is for a runtime, in words, for the table."""
    return LEAST if runtime == NAME else STATISTIC


def time_of(rounds: Mapping[int, Mapping[str, Any]], *, threads: int) -> float:
    """Milliseconds of one run.

    Args:
        rounds: the runs of each round: wall_us, cpu_us, switches; or their summary alone.
        threads: of the runtime.
    """
    summaries = [visit["summary"] for visit in rounds.values() if "summary" in visit]
    if summaries:
        return float(min(summary["min_us"] for summary in summaries)) / 1000
    wall, cpu, switches = (
        [visit[key] for visit in rounds.values()] for key in ("wall_us", "cpu_us", "switches")
    )
    found = statistic(wall, cpu, switches, threads=threads)
    return found.percentiles_us[PERCENTILE] / 1000
