"""Jobs in rounds: each is run once more than it counts, and ratios are of medians."""

from __future__ import annotations

import time

import pytest

from edgecmp.benchmarks.studies.interleaved import Seconds, comparison, interleaved, timed


def test_jobs_alternate_and_the_first_round_does_not_count() -> None:
    order: list[str] = []
    jobs = {name: (lambda name=name: order.append(name)) for name in ("a", "b")}
    times = interleaved(jobs, 2)
    assert order == ["a", "b"] * 3
    assert {name: len(taken) for name, taken in times.items()} == {"a": 2, "b": 2}


def test_sleep_takes_wall_time_alone() -> None:
    def sleep() -> str:
        time.sleep(0.05)
        return "done"

    result, taken = timed(sleep)
    assert result == "done"
    assert taken.wall >= 0.05 > taken.cpu


def test_a_comparison_is_of_medians() -> None:
    ours = [Seconds(2.0, 3.0), Seconds(1.0, 1.0), Seconds(9.0, 2.0)]
    theirs = [Seconds(4.0, 1.0), Seconds(8.0, 1.0), Seconds(3.0, 5.0)]
    row = comparison("training", "masked", ours, theirs, 10, 1.5)
    assert (row["ours_per_cpu_s"], row["theirs_per_cpu_s"]) == (5.0, 2.5)
    assert (row["ratio"], row["ratio_wall"]) == (2.0, 0.5)
    assert row["goal"] == pytest.approx(1.5)
