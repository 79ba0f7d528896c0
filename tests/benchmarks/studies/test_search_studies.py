"""The studies around the search: search against random, and the noise of a reward."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecmp.benchmarks.studies.latency_search import study
from edgecmp.benchmarks.studies.reward_noise import noise_row
from edgecmp.benchmarks.studies.search_options import figures
from edgecmp.benchmarks.studies.search_vs_random import compare
from edgecmp.errors import UserError
from edgecmp.search.evaluation.candidate import Candidate, Measurement
from edgecmp.search.settings import SearchSettings
from edgecmp.search.space.constraint import FlopsBudget
from edgecmp.search.space.flops import FlopsTable
from edgecmp.search.strategies.evolution import EvolutionSettings
from tests.fixtures.search_tables import flops_like
from tests.fixtures.toy_evaluator import ToyEvaluator


def test_search_against_random(tmp_path: Path) -> None:
    budget = FlopsBudget(FlopsTable.of("100M"), 100_000_000)
    settings = SearchSettings(
        metric="top10",
        seed=1,
        strategy=EvolutionSettings(population=12, generations=8, retain=3),
    )
    blind, found, last = compare(ToyEvaluator(), budget, settings, random=20, out=tmp_path)
    assert blind["evaluations"] == 20
    assert found["best"] >= last["best"] > blind["best"]
    assert last["mean"] > blind["mean"]
    assert found["best"] >= found["mean_best_5"] >= found["mean"]
    assert max(row["best_flops"] for row in (blind, found, last)) <= 100_000_000


def test_what_a_table_is_worth(tmp_path: Path) -> None:
    """On a device that the table predicts exactly, only the bounded winner satisfies the bound."""
    table = flops_like()
    settings = SearchSettings(
        metric="top10",
        seed=1,
        strategy=EvolutionSettings(population=20, generations=8, retain=4),
    )
    report = study(
        ToyEvaluator(),
        FlopsBudget(FlopsTable.of("100M"), 100_000_000),
        table,
        settings,
        latency_ms=None,
        tolerance=0.02,
        remeasure=lambda networks: [table.predict(network) for network in networks],
        out=tmp_path,
    )
    blind, found, blind_fast, found_fast = report["rows"]
    assert report["blind_misses"]
    assert report["found_holds"]
    assert found["latency_ms"] <= report["latency_ms"] < blind["latency_ms"]
    assert report["latency_ms"] == pytest.approx(0.8 * blind["latency_ms"], rel=1e-4)
    assert report["reward_cost"] == pytest.approx(1 - found["r3"] / blind["r3"], abs=1e-4)
    assert min(blind_fast["r3"], found_fast["r3"]) >= report["equal_reward"] - 1e-5
    expected = blind_fast["measured_ms"] / found_fast["measured_ms"]
    assert report["ratio_equal_reward"] == pytest.approx(expected, rel=1e-3)
    with pytest.raises(UserError, match="already satisfies --latency"):
        study(
            ToyEvaluator(),
            FlopsBudget(FlopsTable.of("100M"), 100_000_000),
            table,
            settings,
            latency_ms=100.0,
            tolerance=0.02,
            remeasure=lambda networks: [1.0] * len(networks),
            out=tmp_path,
        )


def test_figures_of_search_options() -> None:
    """Fronts of steps, whose areas are sums of rectangles."""

    def candidate(mflops: int, accuracy: float) -> Candidate:
        shares = {"top1": accuracy}
        return Candidate(
            generation=1,
            index=0,
            genes=(),
            flops=mflops * 10**6,
            metric="top1",
            measurement=Measurement(mqq=shares, mqg=shares),
        )

    plain = [candidate(100, 0.5), candidate(50, 0.4), candidate(60, 0.2), candidate(10, 0.9)]
    front = [candidate(20, 0.495), candidate(80, 0.6), candidate(90, 0.1)]
    of_plain, of_front = figures({"evolution": plain, "pareto": front}, 10**8, seed=4)
    assert of_plain["evaluations"] == of_front["evaluations"] == 3
    assert of_plain["best"] == 0.25
    assert of_plain["area"] == pytest.approx(0.5 * 0.4**2)
    assert of_front["best"] == 0.36
    assert of_front["area"] == pytest.approx(0.6 * 0.495**2 + 0.2 * 0.6**2, abs=1e-4)


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
