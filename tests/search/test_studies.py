"""The studies around the search: search against random, and the noise of a reward."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecmp.benchmarks.reward_noise import noise_row
from edgecmp.benchmarks.search_vs_random import compare
from edgecmp.search.constraint import FlopsBudget
from edgecmp.search.evolution import EvolutionSettings
from edgecmp.search.flops import FlopsTable
from edgecmp.search.loop import SearchSettings
from tests.search.toy import ToyEvaluator


def test_search_against_random(tmp_path: Path) -> None:
    budget = FlopsBudget(FlopsTable.of("100M"), 100_000_000)
    settings = SearchSettings(
        seed=1, evolution=EvolutionSettings(population=12, generations=8, retain=3)
    )
    blind, found, last = compare(ToyEvaluator(), budget, settings, random=20, out=tmp_path)
    assert blind["evaluations"] == 20
    assert found["best"] >= last["best"] > blind["best"]
    assert last["mean"] > blind["mean"]
    assert found["best"] >= found["mean_best_5"] >= found["mean"]
    assert max(row["best_flops"] for row in (blind, found, last)) <= 100_000_000


def test_noise_of_a_metric() -> None:
    """Subnets at 10..50 %, and a draw that moves all of them by one point or each at random."""
    subnets = np.linspace(0.1, 0.5, 41)
    moved = np.stack([subnets - 0.01, subnets, subnets + 0.01])
    row = noise_row(moved, moved, queries=400)
    assert row["mqg_mean"] == pytest.approx(30)
    assert row["mqg_best"] == pytest.approx(50)
    assert row["mqg_noise"] == pytest.approx(1)
    assert row["agreement"] == pytest.approx(1)
    shuffled = np.random.default_rng(0).permuted(np.tile(subnets, (3, 1)), axis=1)
    noisy = noise_row(shuffled, shuffled, queries=400)
    assert abs(noisy["agreement"]) < 0.3
    assert noisy["signal"] < 1 < row["signal"]
