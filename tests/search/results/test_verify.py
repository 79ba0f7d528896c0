"""The Pareto front, and winners measured on the device, or without one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.image import imread

from edgecmp.errors import UserError
from edgecmp.networks.architecture import Architecture
from edgecmp.search.results.pareto_front import pareto_front
from edgecmp.search.results.result import SearchResult
from edgecmp.search.results.verify import Remeasure
from edgecmp.search.run import search_and_write
from edgecmp.search.settings import SearchSettings
from edgecmp.search.space.constraint import FlopsBudget
from edgecmp.search.space.flops import FlopsTable
from edgecmp.search.space.latency_budget import LatencyBudget
from edgecmp.search.strategies.evolution import EvolutionSettings
from tests.fixtures.search_tables import flops_like
from tests.fixtures.toy_evaluator import ToyEvaluator, toy_search

BOUND_MS = 0.8


@dataclass
class Phone:
    """A device that is too slow for the first architectures and fails at a given call."""

    slow: int = 0
    fails_at: int = 10**9
    asked: list[int] = field(default_factory=list)

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        if len(self.asked) == self.fails_at:
            raise UserError("The phone is not there.", "Plug it in.")
        before = sum(self.asked)
        self.asked.append(len(architectures))
        return [
            BOUND_MS * 1.1 if before + place < self.slow else 0.5
            for place in range(len(architectures))
        ]


def searched(out: Path, remeasure: Remeasure | None, population: int = 20) -> SearchResult:
    bound = LatencyBudget(FlopsBudget(FlopsTable.of("100M"), 100_000_000), flops_like(), BOUND_MS)
    evolution = EvolutionSettings(population=population, generations=4, retain=2)
    settings = SearchSettings(strategy=evolution, metric="top1")
    return search_and_write(
        ToyEvaluator(), bound, settings, out, remeasure=remeasure, table="phone.json"
    )


def test_the_first_that_meets_the_bound_wins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phone = Phone(slow=7)
    result = searched(tmp_path, phone)
    assert phone.asked == [5, 5]
    assert result.verified is True
    assert result.winner == 8
    assert [row["rank"] for row in result.rows] == [*range(1, 11)]
    assert [row["holds"] for row in result.rows] == [False] * 7 + [True] * 3
    assert [row["measured_ms"] for row in result.rows[:8]] == [pytest.approx(0.88)] * 7 + [0.5]
    assert all(row["latency_ms"] <= BOUND_MS for row in result.rows)
    assert result.rows[7]["flops_224"] == FlopsTable.of("100M").counts(
        *(
            np.array([genes], np.uint8)
            for genes in (result.architecture.blocks, result.architecture.widths)
        )
    )
    assert Architecture.load(tmp_path) == result.architecture
    document = json.loads((tmp_path / "result.json").read_text())
    assert document == result.to_dict()
    assert document["latency_ms"] == BOUND_MS
    assert document["table"] == flops_like().fingerprint
    assert document["share"] < document["share_flops"]
    told = capsys.readouterr().err
    assert "rank 8 takes 0.5 ms" in told
    assert "meets the bound of 0.8 ms; those ranked above it do not" in told
    assert "satisfy both bounds" in told


def test_it_ends_after_25(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    phone = Phone(slow=1000)
    result = searched(tmp_path, phone)
    assert phone.asked == [5] * 5
    assert result.verified is False
    assert len(result.rows) == 25
    told = capsys.readouterr().err
    assert "None of the best 25 candidates meets the bound of 0.8 ms" in told
    assert "search with --latency 0." in told


def test_all_candidates_of_a_small_search_are_measured(tmp_path: Path) -> None:
    phone = Phone(slow=1000)
    result = searched(tmp_path, phone, population=4)
    assert sum(phone.asked) == result.evaluations < 25
    assert result.verified is False


@pytest.mark.parametrize(("fails_at", "measured"), [(0, 0), (1, 5)])
def test_the_result_is_written_without_the_device(
    tmp_path: Path, fails_at: int, measured: int, capsys: pytest.CaptureFixture[str]
) -> None:
    result = searched(tmp_path, Phone(slow=7, fails_at=fails_at))
    assert result.verified is None
    assert result.winner == measured + 1, "the best unmeasured one"
    assert sum(row["measured_ms"] is not None for row in result.rows) == measured
    told = capsys.readouterr().err
    assert "not verified: The phone is not there. Plug it in." in told
    command = f"edgecmp latency check phone.json --architecture {tmp_path}"
    assert f"To verify it later, run: {command}" in told
    assert json.loads((tmp_path / "result.json").read_text()) == result.to_dict()


def test_an_interrupt_on_the_device_loses_nothing(tmp_path: Path) -> None:
    def interrupted(architectures: Sequence[Architecture]) -> list[float]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path, interrupted)
    document = json.loads((tmp_path / "result.json").read_text())
    assert document["verified"] is None
    assert document["winner"] == 1
    again = searched(tmp_path, Phone())
    assert again.new_evaluations == 0
    assert again.verified is True


@pytest.mark.slow
def test_measurements_are_kept_when_the_device_fails_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = searched(tmp_path, Phone(slow=7))
    again = searched(tmp_path, Phone(fails_at=0))
    assert (again.verified, again.winner, again.rows) == (True, 8, first.rows)
    assert again.architecture == first.architecture == Architecture.load(tmp_path)
    assert "The measurements of the previous run are kept." in capsys.readouterr().err
    assert searched(tmp_path, Phone()).winner == 1, "a new measurement replaces them"


def test_the_picture_and_the_front(tmp_path: Path) -> None:
    result = searched(tmp_path, Phone(slow=2))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "architecture.json",
        "history.jsonl",
        "pareto.png",
        "result.json",
        "search.png",
    ]
    picture = imread(tmp_path / "pareto.png")
    assert picture.shape[0] > 300
    assert picture.std() > 0.05
    table, flops = flops_like(), FlopsTable.of("100M")
    ranks = [row["rank"] for row in result.front]
    assert ranks == sorted(ranks)
    assert ranks[0] == 1
    for row in result.front:
        one = Architecture.from_dict(row["architecture"])
        assert row["flops_224"] == flops.counts(
            np.array([one.blocks], np.uint8), np.array([one.widths], np.uint8)
        )
        assert row["latency_ms"] == pytest.approx(table.predict(one), abs=1e-6)
    best = [(-row["r3"], row["latency_ms"], row["flops_224"]) for row in result.front]
    for mine, others in ((a, b) for a in best for b in best if a != b):
        assert any(x < y for x, y in zip(mine, others, strict=True))


def test_a_bound_of_another_latency_or_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    toy_search(path, table=flops_like(), generations=2)
    with pytest.raises(UserError, match=r'"latency_ms": 0.8.*now.*"latency_ms": 0.7'):
        toy_search(path, table=flops_like(), latency_ms=0.7, generations=2)
    with pytest.raises(UserError, match="budget was"):
        toy_search(path, table=flops_like(2.9), generations=2)
    assert toy_search(path, table=flops_like(), generations=2).new == 0


@given(
    arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.integers(0, 3))
)
def test_the_front_is_not_dominated(costs: np.ndarray) -> None:  # type: ignore[type-arg]
    front = set(pareto_front(costs).tolist())
    rows = costs.tolist()
    for index, row in enumerate(rows):
        dominated = any(
            all(x <= y for x, y in zip(other, row, strict=True)) and other != row for other in rows
        )
        assert dominated == (index not in front)
