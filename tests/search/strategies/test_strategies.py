"""What every strategy promises, on a toy: bounds, no repeats, exact resume, several budgets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.errors import UserError
from edgecmp.search.evaluation.candidate import Measurement
from edgecmp.search.settings import STRATEGIES, search_settings
from edgecmp.search.space.constraint import FlopsBudget
from edgecmp.search.space.flops import FlopsTable
from edgecmp.search.strategies.nsga2 import ParetoSettings, ranks_and_crowding
from edgecmp.search.strategies.pareto import pareto_front
from edgecmp.search.strategies.predictor import PredictorSettings
from edgecmp.search.strategies.random import evaluate_random
from tests.fixtures.search_tables import flops_like
from tests.fixtures.toy_evaluator import ToyEvaluator, toy_search, toy_space

NEW = STRATEGIES[1:]
SIZES = (48, 56, 64)
SMALLEST = FlopsTable.of("100M").count(FlopsTable.of("100M").smallest())


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("flops", "table", "sizes"),
    [
        (100_000_000, None, ()),
        (round(SMALLEST * 1.02), None, ()),
        (60_000_000, flops_like(), ()),
        (60_000_000, None, SIZES),
    ],
    ids=["flops", "hardly any", "latency too", "sizes"],
)
def test_candidates_hold_the_bound_and_never_repeat(
    tmp_path: Path, strategy: str, flops: int, table: LatencyTable | None, sizes: tuple[int, ...]
) -> None:
    evaluator = ToyEvaluator()
    found = toy_search(
        tmp_path / "history.jsonl",
        evaluator=evaluator,
        strategy=strategy,
        flops=flops,
        table=table,
        sizes=sizes,
        generations=4,
    )
    rows = np.array([one.genes for one in found.ranked], np.uint8)
    space = toy_space(flops, table, sizes=sizes)
    assert space.holds(rows).all()
    assert (space.flops(rows) == [one.flops for one in found.ranked]).all()
    assert evaluator.calls == len(np.unique(rows, axis=0)) == len(rows)
    assert not found.exhausted
    rewards = [one.reward("r3") for one in found.ranked]
    assert rewards == sorted(rewards, reverse=True)


@pytest.mark.parametrize("strategy", NEW)
@pytest.mark.parametrize("sizes", [(), SIZES], ids=["", "sizes"])
def test_cut_at_any_line_it_ends_with_the_same_bytes(
    tmp_path: Path, strategy: str, sizes: tuple[int, ...]
) -> None:
    """Also in the middle of a line."""
    path = tmp_path / "history.jsonl"
    given = {"strategy": strategy, "sizes": sizes, "tighter": (80_000_000,), "generations": 4}
    undisturbed = toy_search(path, **given)  # type: ignore[arg-type]
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    for keep in (1, 25, 31):
        path.write_bytes(b"".join(lines[:keep]) + lines[keep % len(lines)][:17])
        resumed = toy_search(path, **given)  # type: ignore[arg-type]
        assert path.read_bytes() == content
        assert resumed.winner == undisturbed.winner
        assert resumed.new == len(lines) - keep


@pytest.mark.parametrize("strategy", NEW)
def test_a_changed_line_is_refused(tmp_path: Path, strategy: str) -> None:
    path = tmp_path / "history.jsonl"
    toy_search(path, strategy=strategy, generations=3)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[-1], lines[-2] = lines[-2], lines[-1]
    path.write_bytes(b"".join(lines))
    with pytest.raises(UserError, match="was changed or damaged"):
        toy_search(path, strategy=strategy, generations=3)


@pytest.mark.parametrize("strategy", NEW)
def test_a_handful_of_architectures_ends_early(tmp_path: Path, strategy: str) -> None:
    flops = round(SMALLEST * 1.003)
    found = toy_search(tmp_path / "h.jsonl", strategy=strategy, flops=flops, population=20)
    assert found.exhausted
    assert len(found.ranked) == FlopsBudget(FlopsTable.of("100M"), flops).count


class Rugged(ToyEvaluator):
    """Gains fade with the width, and neighbours that are unlike cost a part of both accuracies."""

    def evaluate(self, architecture: object) -> Measurement:
        self.calls += 1
        widths = np.array(architecture.widths) + 1  # type: ignore[attr-defined]
        blocks = np.array(architecture.blocks)  # type: ignore[attr-defined]
        worth = np.linspace(1, 0.2, 20)
        gain = (worth * (1 - 0.5 / widths)).sum() / worth.sum()
        unlike = (blocks[1:] != blocks[:-1]).mean()
        kinds = np.array([0.2, 1.0, 0.7, 0.5])[blocks]
        mqq = 0.6 * gain + 0.3 * (kinds * worth).sum() / worth.sum() - 0.1 * unlike
        return Measurement(mqq={"top1": mqq, "top10": mqq}, mqg={"top1": gain, "top10": gain})


def test_a_predictor_beats_random_and_evolution_at_equal_evaluations(tmp_path: Path) -> None:
    for seed in range(3):
        by = {
            strategy: toy_search(
                tmp_path / f"{strategy}{seed}.jsonl",
                evaluator=Rugged(),
                strategy=strategy,
                population=15 if strategy == "predictor" else 20,
                generations=7,
                seed=seed,
            )
            for strategy in ("evolution", "predictor")
        }
        assert len(by["predictor"].ranked) <= len(by["evolution"].ranked)
        blind = evaluate_random(
            Rugged(), toy_space(100_000_000), count=120, metric="top10", seed=seed
        )
        best = {name: found.winner.reward("r3") for name, found in by.items()}
        assert best["predictor"] > best["evolution"] > max(one.reward("r3") for one in blind)


def test_one_run_of_a_predictor_serves_several_budgets(tmp_path: Path) -> None:
    """Under the small budget it comes near a run of its own, and far above a start of its own."""
    small = 75_000_000
    both = toy_search(tmp_path / "both.jsonl", strategy="predictor", tighter=(small,))
    own = toy_search(tmp_path / "own.jsonl", strategy="predictor", flops=small)
    under = max(one.reward("r3") for one in both.ranked if one.flops <= small)
    start = max(one.reward("r3") for one in own.ranked if one.generation == 1)
    assert under > 0.8 * own.winner.reward("r3")
    assert under > 1.3 * start
    header = json.loads((tmp_path / "both.jsonl").read_bytes().splitlines()[0])
    assert header["search"]["tighter"] == [{"flops": small, "input_size": 224}]
    more = (90_000_000, 80_000_000, small)
    with pytest.raises(UserError, match="cannot be spread over 4 budgets"):
        toy_search(tmp_path / "few.jsonl", strategy="pareto", population=3, tighter=more)


def test_ranks_and_crowding_by_hand() -> None:
    """Deb et al. 2002: fronts by dominance, distances between the neighbours, ends infinite."""
    costs = np.array([[0.0, 4.0], [1.0, 2.0], [4.0, 0.0], [2.0, 4.0], [4.0, 3.0]])
    ranks, crowding = ranks_and_crowding(costs)
    assert ranks.tolist() == [0, 0, 0, 1, 1]
    assert crowding.tolist() == [np.inf, (4 / 4 + 4 / 4) / 2, np.inf, np.inf, np.inf]


@pytest.mark.parametrize("table", [None, flops_like()], ids=["flops", "latency too"])
def test_nsga_keeps_the_front_and_widens_it(tmp_path: Path, table: LatencyTable | None) -> None:
    """Its front covers more than that of the evolution, which looks for one corner alone."""
    fronts = {}
    for strategy in ("evolution", "pareto"):
        found = toy_search(
            tmp_path / f"{strategy}.jsonl", strategy=strategy, table=table, generations=12
        )
        costs = np.array([[one.flops / 1e8, 1 - one.reward("r3")] for one in found.ranked])
        fronts[strategy] = costs[pareto_front(costs)]
    for front in fronts.values():
        for row in front:
            assert not ((front <= row).all(1) & (front < row).any(1)).any()
    assert area(fronts["pareto"]) > area(fronts["evolution"])
    assert np.ptp(fronts["pareto"][:, 0]) > np.ptp(fronts["evolution"][:, 0])


def area(front: NDArray[np.float64]) -> float:
    """The hypervolume up to (1, 1)."""
    total, last = 0.0, 1.0
    for flops, loss in sorted(front.tolist()):
        if loss < last:
            total += (1 - flops) * (last - loss)
            last = loss
    return total


def test_sizes_are_weighed_against_layers(tmp_path: Path) -> None:
    """Under a tight budget smaller inputs win, and their candidates say so in the history."""
    path = tmp_path / "history.jsonl"
    found = toy_search(path, strategy="predictor", flops=45_000_000, sizes=SIZES)
    assert {one.input_size for one in found.ranked} == set(SIZES)
    assert all(one.input_size == SIZES[one.genes[40]] for one in found.ranked)
    alone = toy_search(tmp_path / "alone.jsonl", strategy="predictor", flops=45_000_000)
    assert found.winner.input_size == 48
    assert found.winner.reward("r3") > alone.winner.reward("r3")


def test_settings_of_strategies() -> None:
    full = search_settings(strategy="predictor").predictor
    quick = search_settings(strategy="predictor", quick=True).predictor
    assert full == PredictorSettings(start=200, batch=20, generations=11)
    assert quick == PredictorSettings(start=40, batch=10, generations=7)
    assert [one.expected_evaluations for one in (full, quick) if one] == [400, 100]
    given = search_settings(strategy="pareto", population=8, generations=3).pareto
    assert given == ParetoSettings(population=8, generations=3)
    with pytest.raises(UserError, match=r"Unknown strategy 'predict'.*Did you mean predictor"):
        search_settings(strategy="predict")
    for bad in ({"start": 2}, {"batch": 0}, {"generations": 0}):
        with pytest.raises(UserError, match="cannot run"):
            PredictorSettings(**bad)
    with pytest.raises(UserError, match="cannot run"):
        ParetoSettings(population=2)
