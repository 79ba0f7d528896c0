"""The statistic, on times that are known: which runs count, and what is said about them."""

from __future__ import annotations

import numpy as np
import pytest

from edgecmp.benchmarks.bench.statistic import (
    ALL_RUNS,
    CPU_TIME,
    LEAST_CLEAN,
    LEAST_FOR_P99,
    NOT_PREEMPTED,
    SUMMARY,
    statistic,
    summary_statistic,
)


def test_preempted_runs_do_not_count_where_enough_are_left() -> None:
    quiet, busy = [1000.0] * 12, [50000.0] * 12
    figures = statistic([quiet, busy], [quiet, quiet], [[0] * 12, [3] * 12], threads=1)
    assert figures.name == NOT_PREEMPTED
    assert (figures.p50_us, figures.p90_us, figures.min_us) == (1000.0, 1000.0, 1000.0)
    assert (figures.runs, figures.counted, figures.preempted) == (24, 12, 12)


@pytest.mark.parametrize(
    ("clean", "busy"), [(LEAST_CLEAN - 1, 31), (LEAST_CLEAN, 4 * LEAST_CLEAN + 1)]
)
def test_with_few_clean_runs_one_thread_is_told_by_its_processor_time(
    clean: int, busy: int
) -> None:
    wall, cpu = [2000.0] * clean + [9000.0] * busy, [1900.0] * (clean + busy)
    switches = [0] * clean + [2] * busy
    figures = statistic([wall], [cpu], [switches], threads=1)
    assert (figures.name, figures.p50_us, figures.counted) == (CPU_TIME, 1900.0, clean + busy)
    figures = statistic([wall], [cpu], [switches], threads=2)
    assert (figures.name, figures.p50_us, figures.min_us) == (ALL_RUNS, 9000.0, 2000.0)
    assert statistic([wall], None, [switches], threads=1).name == ALL_RUNS


def test_a_few_runs_without_any_preemption_count() -> None:
    figures = statistic([[3.0, 1.0, 2.0]], [[9.0] * 3], [[0, 0, 0]], threads=1)
    assert (figures.name, figures.p50_us, figures.preempted) == (NOT_PREEMPTED, 2.0, 0)
    assert statistic([[3.0, 1.0, 2.0]], [[9.0] * 3], [[0, 1, 0]], threads=1).name == CPU_TIME


def test_where_nobody_counted_switches_all_runs_count() -> None:
    figures = statistic([[1.0, 3.0]], [[1.0, 1.0]], None, threads=1)
    assert (figures.name, figures.p50_us, figures.preempted) == (ALL_RUNS, 2.0, None)


def test_percentiles_are_those_of_the_counted_runs() -> None:
    wall = np.random.default_rng(0).permutation(np.arange(1.0, LEAST_FOR_P99 + 1))
    figures = statistic([wall.tolist()], None, None, threads=1)
    assert figures.p50_us == np.median(wall)
    assert figures.p90_us == np.percentile(wall, 90)
    assert figures.p99_us == np.percentile(wall, 99)
    assert len(figures.percentiles_us) == 101
    assert figures.percentiles_us[0] == figures.min_us == 1
    assert figures.percentiles_us[100] == LEAST_FOR_P99
    assert statistic([wall[1:].tolist()], None, None, threads=1).p99_us is None


def test_summaries_of_visits_are_put_together() -> None:
    visits = [
        {"p50_us": 10.0, "p90_us": 12.0, "min_us": 9.0, "mean_us": 11.0, "runs": 50},
        {"p50_us": 20.0, "p90_us": 22.0, "min_us": 8.0, "mean_us": 21.0, "runs": 60},
    ]
    figures = summary_statistic(visits)
    assert (figures.name, figures.p50_us, figures.p90_us) == (SUMMARY, 15.0, 17.0)
    assert (figures.min_us, figures.runs, figures.p99_us) == (8.0, 110, None)
    assert figures.percentiles_us == ()
    figures = summary_statistic([visits[0] | {"p50_us": None, "p90_us": None}])
    assert (figures.name, figures.p50_us, figures.p90_us) == (f"{SUMMARY} (mean)", 11.0, None)
