"""The figures of a comparison, computed from visits: medians, and ratios within a round."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

__all__ = [
    "Visit",
    "counted",
    "cpu_p50_ms",
    "cpu_ratio",
    "gflops_per_s",
    "p50_ms",
    "preempted",
    "ratio",
]

Visit = Mapping[str, Sequence[float]]
"""wall_us, cpu_us and involuntary_switches of the runs of one visit."""

MINIMUM_CLEAN_SHARE = 0.2
"""Least share of runs without preemption for which only these are counted."""


def counted(visit: Visit) -> list[float]:
    """Times in microseconds of the runs that were not preempted, or of all runs if too few."""
    wall, switches = visit["wall_us"], visit["involuntary_switches"]
    clean = [time for time, switch in zip(wall, switches, strict=True) if switch == 0]
    return clean if len(clean) >= max(1, MINIMUM_CLEAN_SHARE * len(wall)) else list(wall)


def p50_ms(visits: Iterable[Visit]) -> float:
    """Median over the counted runs of all visits, in ms."""
    return median([time for visit in visits for time in counted(visit)]) / 1000


def ratio(visits: Sequence[Visit], reference: Sequence[Visit]) -> float:
    """Latency relative to the reference: the median of the ratios within the rounds.

    Other load or heat that slows a whole round affects both and does not change its ratio.
    """
    return median(
        median(counted(visit)) / median(counted(other))
        for visit, other in zip(visits, reference, strict=True)
    )


def cpu_p50_ms(visits: Iterable[Visit]) -> float:
    """Median processor time of all runs, in ms; meaningful only with one thread."""
    return median([time for visit in visits for time in visit["cpu_us"]]) / 1000


def cpu_ratio(visits: Sequence[Visit], reference: Sequence[Visit]) -> float:
    """As `ratio`, for the processor time of all runs, which preemption does not affect."""
    return median(
        median(visit["cpu_us"]) / median(other["cpu_us"])
        for visit, other in zip(visits, reference, strict=True)
    )


def preempted(visits: Iterable[Visit]) -> float:
    """Share of the runs during which the process was preempted."""
    switches = [count for visit in visits for count in visit["involuntary_switches"]]
    return sum(count > 0 for count in switches) / len(switches)


def gflops_per_s(macs: int, milliseconds: float) -> float:
    """Rate in 10^9 operations per second, with two operations per multiply-add."""
    return 2 * macs / milliseconds / 1e6
