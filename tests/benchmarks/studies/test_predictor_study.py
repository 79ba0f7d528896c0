"""The study of the predictor: equal numbers, nothing measured twice, tau as scipy computes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from edgecmp.benchmarks.studies.cached_evaluator import CachedEvaluator
from edgecmp.benchmarks.studies.predictor_study import compare, rank_correlation
from edgecmp.benchmarks.studies.search_study import with_rewards_in_full
from edgecmp.metrics.rank import kendall_tau
from edgecmp.search.space.constraint import FlopsBudget
from edgecmp.search.space.flops import FlopsTable
from edgecmp.search.strategies.random import evaluate_random
from tests.fixtures.toy_evaluator import ToyEvaluator, toy_space


def compared(out: Path, evaluator: ToyEvaluator) -> list[dict[str, Any]]:
    return compare(
        CachedEvaluator(evaluator, out / "measured.jsonl"),
        FlopsBudget(FlopsTable.of("100M"), 100_000_000),
        seed=0,
        quick=True,
        metric="top10",
        evaluations=None,
        out=out,
    )


def test_each_has_as_many_and_a_second_run_measures_nothing(tmp_path: Path) -> None:
    evaluator = ToyEvaluator()
    rows = compared(tmp_path, evaluator)
    assert [row["who"] for row in rows] == ["random", "evolution", "predictor"]
    assert len({row["evaluations"] for row in rows}) == 1
    assert rows[0]["best"] < rows[2]["best"]
    assert all(row["best"] >= (row["best_at_equal_time"] or 0) for row in rows)
    cache = tmp_path / "measured.jsonl"
    cache.write_bytes(cache.read_bytes() + b'{"genes": [')  # killed while it wrote
    again = ToyEvaluator()
    assert [row["best"] for row in compared(tmp_path, again)] == [row["best"] for row in rows]
    assert again.calls == 0


def test_another_evaluator_measures_anew(tmp_path: Path) -> None:
    file = tmp_path / "measured.jsonl"
    one = CachedEvaluator(ToyEvaluator(), file)
    evaluate_random(one, toy_space(100_000_000), count=3, metric="top10", seed=0)
    assert len(CachedEvaluator(ToyEvaluator(), file).seconds) == 3
    assert not CachedEvaluator(ToyEvaluator(input_size=96), file).seconds


def test_rewards_are_shown_in_full_where_they_are_known() -> None:
    rows = [{"who": "predictor", "best": 0.51236, "best_at_equal_time": None, "seconds": 0.12345}]
    assert with_rewards_in_full(rows) == [
        {"who": "predictor", "best": "0.5124", "best_at_equal_time": None, "seconds": 0.12345}
    ]


def test_tau_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.integers(6, size=(2, 50)).tolist()  # with ties
    assert kendall_tau(left, right) == pytest.approx(stats.kendalltau(left, right)[0])
    drawn = evaluate_random(
        ToyEvaluator(), toy_space(100_000_000), count=120, metric="top10", seed=0
    )
    found = rank_correlation(drawn, toy_space(100_000_000))
    assert found["fitted_to"] == 90
    assert found["tau"] > 0.6
