"""Jobs timed in interleaved rounds, so that load and heat affect all alike, and compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple, TypeVar

__all__ = ["Seconds", "comparison", "interleaved", "timed"]

Result = TypeVar("Result")


class Seconds(NamedTuple):
    """The time of one job in s: processor time of this process, and wall time."""

    cpu: float
    wall: float


def timed(job: Callable[[], Result]) -> tuple[Result, Seconds]:
    """The result of a job, and its time."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = job()
    return result, Seconds(time.process_time() - cpu, time.perf_counter() - wall)


def interleaved(jobs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[Seconds]]:
    """The times of each job in each round, after one round that does not count."""
    times: dict[str, list[Seconds]] = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name, job in jobs.items():
            _, taken = timed(job)
            if number:
                times[name].append(taken)
    return times


def comparison(
    what: str,
    against: str,
    ours: Sequence[Seconds],
    theirs: Sequence[Seconds],
    images: int,
    goal: float,
) -> dict[str, Any]:
    """A row that compares two jobs: their rates, and the ratios of their median times.

    Args:
        what: name of the job.
        against: name of the reference.
        ours: times of the job.
        theirs: times of the reference.
        images: number of images that each processes, for the rates.
        goal: the ratio that the job should reach.
    """
    (cpu, wall), (their_cpu, their_wall) = (
        [median(values) for values in zip(*times, strict=True)] for times in (ours, theirs)
    )
    return {
        "what": what,
        "against": against,
        "ours_per_cpu_s": round(images / cpu, 3),
        "theirs_per_cpu_s": round(images / their_cpu, 3),
        "ratio": round(their_cpu / cpu, 2),
        "ratio_wall": round(their_wall / wall, 2),
        "goal": goal,
    }
