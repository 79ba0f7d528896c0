"""From the visits of a comparison to figures: medians, and ratios within a round."""

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
"""Share of runs without preemption from which on they are counted alone."""


def counted(visit: Visit) -> list[float]:
    """Microseconds of the runs that were not preempted; of all where almost all were."""
    wall, switches = visit["wall_us"], visit["involuntary_switches"]
    clean = [time for time, switch in zip(wall, switches, strict=True) if switch == 0]
    return clean if len(clean) >= max(1, MINIMUM_CLEAN_SHARE * len(wall)) else list(wall)


def p50_ms(visits: Iterable[Visit]) -> float:
    """Median over the counted runs of all visits, in milliseconds."""
    return median([time for visit in visits for time in counted(visit)]) / 1000


def ratio(visits: Sequence[Visit], reference: Sequence[Visit]) -> float:
    """How many times longer than the reference: the median of the ratios within the rounds.

    What slows a whole round, other load or heat, slows both and leaves its ratio alone.
    """
    return median(
        median(counted(visit)) / median(counted(other))
        for visit, other in zip(visits, reference, strict=True)
    )


def cpu_p50_ms(visits: Iterable[Visit]) -> float:
    """Median processor time of all runs, in milliseconds; means something with one thread only."""
    return median([time for visit in visits for time in visit["cpu_us"]]) / 1000


def cpu_ratio(visits: Sequence[Visit], reference: Sequence[Visit]) -> float:
    """As `ratio`, of the processor time of all runs: preemption does not enter it."""
    return median(
        median(visit["cpu_us"]) / median(other["cpu_us"])
        for visit, other in zip(visits, reference, strict=True)
    )


def preempted(visits: Iterable[Visit]) -> float:
    """Share of the runs during which something else wanted the processor."""
    switches = [count for visit in visits for count in visit["involuntary_switches"]]
    return sum(count > 0 for count in switches) / len(switches)


def gflops_per_s(macs: int, milliseconds: float) -> float:
    """Two operations per multiply-add, in 10^9 per second."""
    return 2 * macs / milliseconds / 1e6
