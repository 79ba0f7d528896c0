"""The study of the predictor: equal numbers, nothing measured twice, tau as scipy computes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from edgecmp.benchmarks.studies.predictor_study import (
    Remembering,
    _tau,
    compare,
    rank_correlation,
)
from edgecmp.search.space.constraint import FlopsBudget
from edgecmp.search.space.flops import FlopsTable
from edgecmp.search.strategies.random import evaluate_random
from tests.fixtures.toy_evaluator import ToyEvaluator, toy_space


def compared(out: Path, evaluator: ToyEvaluator) -> list[dict[str, Any]]:
    return compare(
        Remembering(evaluator, out / "measured.jsonl"),
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
    one = Remembering(ToyEvaluator(), file)
    evaluate_random(one, toy_space(100_000_000), count=3, metric="top10", seed=0)
    assert len(Remembering(ToyEvaluator(), file).seconds) == 3
    assert not Remembering(ToyEvaluator(input_size=96), file).seconds


def test_tau_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.integers(6, size=(2, 50))  # with ties
    assert _tau(left, right) == pytest.approx(stats.kendalltau(left, right)[0])
    blind = evaluate_random(
        ToyEvaluator(), toy_space(100_000_000), count=120, metric="top10", seed=0
    )
    found = rank_correlation(blind, toy_space(100_000_000))
    assert found["fitted_to"] == 90
    assert found["tau"] > 0.6
