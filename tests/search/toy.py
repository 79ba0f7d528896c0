"""A cheap evaluator with a landscape to climb, and a search with it."""

from __future__ import annotations

import time
from dataclasses import dataclass
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


@dataclass
class ToyEvaluator:
    """Likes wide layers early and shuffle5 blocks, so that the budget bites."""

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
) -> SearchOutcome:
    evolution = EvolutionSettings(population=population, generations=generations, retain=3)
    budget = FlopsBudget(FlopsTable.of("100M"), flops)
    return search(
        evaluator or ToyEvaluator(),
        LatencyBudget(budget, table, latency_ms) if table else budget,
        SearchSettings(reward=reward, seed=seed, evolution=evolution),
        history=history,
    )
