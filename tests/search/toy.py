"""A cheap evaluator with a landscape to climb, and a search with it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from edgecmp.architecture import Architecture
from edgecmp.latency import LatencyTable
from edgecmp.search.candidate import Measurement
from edgecmp.search.constraint import FlopsBudget
from edgecmp.search.evolution import EvolutionSettings
from edgecmp.search.flops import FlopsTable
from edgecmp.search.latency_budget import LatencyBudget
from edgecmp.search.loop import SearchOutcome, SearchSettings, search
from edgecmp.search.pareto_strategy import ParetoSettings
from edgecmp.search.predictor_strategy import PredictorSettings
from edgecmp.search.space import Space


@dataclass
class ToyEvaluator:
    """Likes wide layers early, shuffle5 blocks and large inputs, so that the budget bites."""

    tier: str = "100M"
    embedding_dim: int = 128
    input_size: int = 64
    metrics: tuple[str, ...] = ("top1", "top10")
    seconds: float = 0.0
    calls: int = 0

    def evaluate(self, architecture: Architecture) -> Measurement:
        self.calls += 1
        time.sleep(self.seconds)
        width = sum((20 - i) * w for i, w in enumerate(architecture.widths)) / 1890
        block = sum(block == 1 for block in architecture.blocks) / 20
        seen = (architecture.input_size / self.input_size) ** 0.5
        width, block = width * seen, block * seen
        return Measurement(
            mqq={"top1": width / 2, "top10": width}, mqg={"top1": block / 3, "top10": block}
        )

    def to_dict(self) -> dict[str, Any]:
        return {"name": "toy", "input_size": self.input_size}


def toy_search(
    history: Path,
    *,
    evaluator: ToyEvaluator | None = None,
    flops: int = 100_000_000,
    population: int = 12,
    generations: int = 6,
    reward: str = "r3",
    seed: int = 0,
    table: LatencyTable | None = None,
    latency_ms: float = 0.8,
    strategy: str = "evolution",
    tighter: Sequence[int] = (),
    sizes: Sequence[int] = (),
) -> SearchOutcome:
    settings = toy_settings(strategy, population, generations)
    spaces = [toy_space(budget, table, latency_ms, sizes) for budget in (flops, *tighter)]
    return search(
        evaluator or ToyEvaluator(),
        spaces[0],
        replace(settings, reward=reward, seed=seed),
        history=history,
        tighter=spaces[1:],
    )


def toy_settings(strategy: str, population: int = 12, generations: int = 6) -> SearchSettings:
    """About as many evaluations by each strategy; a predictor starts with two rounds' worth."""
    if strategy == "predictor":
        predictor = PredictorSettings(
            start=2 * population, batch=population, generations=generations - 1
        )
        return SearchSettings(predictor=predictor)
    if strategy == "pareto":
        return SearchSettings(pareto=ParetoSettings(population=population, generations=generations))
    return SearchSettings(
        evolution=EvolutionSettings(population=population, generations=generations, retain=3)
    )


def toy_space(
    flops: int,
    table: LatencyTable | None = None,
    latency_ms: float = 0.8,
    sizes: Sequence[int] = (),
) -> Space:
    if sizes:
        return _sized(flops, tuple(sizes))
    budget = _budget(flops)
    return Space.of(LatencyBudget(budget, table, latency_ms) if table else budget)


@cache
def _budget(flops: int) -> FlopsBudget:
    """Counting a space takes longer than a toy search in it."""
    return FlopsBudget(FlopsTable.of("100M"), flops)


@cache
def _sized(flops: int, sizes: tuple[int, ...]) -> Space:
    return Space.sized(FlopsTable.of("100M"), flops, sizes, native=64)
