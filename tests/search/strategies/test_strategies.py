"""Every registered strategy with a toy evaluator: bounds, no repeats, resuming, budgets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.errors import UserError
from edgecmp.search.evaluation.candidate import Measurement
from edgecmp.search.results.pareto_front import pareto_front
from edgecmp.search.space.constraint import FlopsBudget
from edgecmp.search.space.flops import FlopsTable
from edgecmp.search.strategies import STRATEGIES
from edgecmp.search.strategies.pareto import ranks_and_crowding
from edgecmp.search.strategies.random import evaluate_random
from tests.fixtures.search_tables import flops_like
from tests.fixtures.toy_evaluator import ToyEvaluator, toy_search, toy_space

SEVERAL_BUDGETS = [name for name, kind in STRATEGIES.items() if kind.several_budgets]
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
def test_candidates_satisfy_the_bound_and_never_repeat(
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
    assert space.contains(rows).all()
    assert (space.flops(rows) == [one.flops for one in found.ranked]).all()
    assert evaluator.calls == len(np.unique(rows, axis=0)) == len(rows)
    assert not found.exhausted
    rewards = [one.reward("r3") for one in found.ranked]
    assert rewards == sorted(rewards, reverse=True)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("sizes", [(), SIZES], ids=["", "sizes"])
def test_a_truncated_history_is_completed_to_the_same_bytes(
    tmp_path: Path, strategy: str, sizes: tuple[int, ...]
) -> None:
    """Truncated in the middle of a line."""
    path = tmp_path / "history.jsonl"
    smaller = (80_000_000,) if strategy in SEVERAL_BUDGETS else ()
    given = {"strategy": strategy, "sizes": sizes, "smaller": smaller, "generations": 4}
    uninterrupted = toy_search(path, **given)  # type: ignore[arg-type]
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    for keep in (1, 25, 31):
        path.write_bytes(b"".join(lines[:keep]) + lines[keep % len(lines)][:17])
        resumed = toy_search(path, **given)  # type: ignore[arg-type]
        assert path.read_bytes() == content
        assert resumed.winner == uninterrupted.winner
        assert resumed.new == len(lines) - keep


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_changed_line_is_refused(tmp_path: Path, strategy: str) -> None:
    path = tmp_path / "history.jsonl"
    toy_search(path, strategy=strategy, generations=3)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[-1], lines[-2] = lines[-2], lines[-1]
    path.write_bytes(b"".join(lines))
    with pytest.raises(UserError, match="was changed or damaged"):
        toy_search(path, strategy=strategy, generations=3)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_space_of_few_architectures_ends_early(tmp_path: Path, strategy: str) -> None:
    flops = round(SMALLEST * 1.003)
    found = toy_search(tmp_path / "h.jsonl", strategy=strategy, flops=flops, population=20)
    assert found.exhausted
    assert len(found.ranked) == FlopsBudget(FlopsTable.of("100M"), flops).count


class Rugged(ToyEvaluator):
    """Gains diminish with width, and differing neighbouring blocks reduce both accuracies."""

    def evaluate(self, architecture: object) -> Measurement:
        self.calls += 1
        widths = np.array(architecture.widths) + 1  # type: ignore[attr-defined]
        blocks = np.array(architecture.blocks)  # type: ignore[attr-defined]
        worth = np.linspace(1, 0.2, 20)
        gain = (worth * (1 - 0.5 / widths)).sum() / worth.sum()
        differing = (blocks[1:] != blocks[:-1]).mean()
        kinds = np.array([0.2, 1.0, 0.7, 0.5])[blocks]
        mqq = 0.6 * gain + 0.3 * (kinds * worth).sum() / worth.sum() - 0.1 * differing
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
        baseline = evaluate_random(
            Rugged(), toy_space(100_000_000), count=120, metric="top10", seed=seed
        )
        best = {name: found.winner.reward("r3") for name, found in by.items()}
        assert best["predictor"] > best["evolution"] > max(one.reward("r3") for one in baseline)


def test_one_run_of_a_predictor_serves_several_budgets(tmp_path: Path) -> None:
    """Under the small budget it nearly equals a separate run, and far exceeds its random start."""
    small = 75_000_000
    both = toy_search(tmp_path / "both.jsonl", strategy="predictor", smaller=(small,))
    own = toy_search(tmp_path / "own.jsonl", strategy="predictor", flops=small)
    under = max(one.reward("r3") for one in both.ranked if one.flops <= small)
    start = max(one.reward("r3") for one in own.ranked if one.generation == 1)
    assert under > 0.8 * own.winner.reward("r3")
    assert under > 1.3 * start
    header = json.loads((tmp_path / "both.jsonl").read_bytes().splitlines()[0])
    assert header["search"]["tighter"] == [{"flops": small, "input_size": 224}]
    more = (90_000_000, 80_000_000, small)
    with pytest.raises(UserError, match="An initial population of 3 is too small for 4 budgets"):
        toy_search(tmp_path / "few.jsonl", strategy="pareto", population=3, smaller=more)


def test_ranks_and_crowding_by_hand() -> None:
    """Deb et al. 2002: fronts by dominance, distances between neighbours, infinite at the ends."""
    costs = np.array([[0.0, 4.0], [1.0, 2.0], [4.0, 0.0], [2.0, 4.0], [4.0, 3.0]])
    ranks, crowding = ranks_and_crowding(costs)
    assert ranks.tolist() == [0, 0, 0, 1, 1]
    assert crowding.tolist() == [np.inf, (4 / 4 + 4 / 4) / 2, np.inf, np.inf, np.inf]


@pytest.mark.parametrize("table", [None, flops_like()], ids=["flops", "latency too"])
def test_nsga_finds_a_wider_front_than_the_evolution(
    tmp_path: Path, table: LatencyTable | None
) -> None:
    """The evolution maximises the reward alone, so its front covers less."""
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


def test_the_input_size_is_searched(tmp_path: Path) -> None:
    """Under a tight budget a smaller input wins, and candidates record their size."""
    path = tmp_path / "history.jsonl"
    found = toy_search(path, strategy="predictor", flops=45_000_000, sizes=SIZES)
    assert {one.input_size for one in found.ranked} == set(SIZES)
    assert all(one.input_size == SIZES[one.genes[40]] for one in found.ranked)
    alone = toy_search(tmp_path / "alone.jsonl", strategy="predictor", flops=45_000_000)
    assert found.winner.input_size == 48
    assert found.winner.reward("r3") > alone.winner.reward("r3")
