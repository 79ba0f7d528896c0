"""Does the search beat as many coins? Search against random architectures of the same budget.

    python -m edgecmp.benchmarks.studies.search_vs_random --out runs/vs_random

Both are measured by the same evaluator. Every search resumes where it was stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from edgecmp import kit
from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.files import provenance, write_json
from edgecmp.report import table_text
from edgecmp.search.evaluation.candidate import Candidate, Evaluator
from edgecmp.search.loop import SearchSettings, search
from edgecmp.search.run import open_evaluator
from edgecmp.search.settings import DEFAULT_METRIC
from edgecmp.search.space.constraint import FlopsBudget, parse_budget
from edgecmp.search.space.flops import FlopsTable
from edgecmp.search.strategies.evolution import EvolutionSettings
from edgecmp.search.strategies.random import evaluate_random

__all__ = ["compare", "main"]

BEST = 5


def compare(
    evaluator: Evaluator, budget: FlopsBudget, settings: SearchSettings, *, random: int, out: Path
) -> list[dict[str, Any]]:
    """One seed: a row for random architectures, one for the search, one for its last generation.

    Returns:
        "who", "seed", "evaluations", "best", "mean_best_5" and "mean" of the reward, and M(q,q),
        M(q,g) of the best in percent.
    """
    blind = evaluate_random(
        evaluator, budget, count=random, metric=settings.metric, seed=settings.seed
    )
    found = search(evaluator, budget, settings, history=out / f"seed{settings.seed}.jsonl")
    last = max(candidate.generation for candidate in found.ranked)
    newest = [candidate for candidate in found.ranked if candidate.generation == last]
    return [
        _row(f"{random} random", blind, settings),
        _row("search, all", found.ranked, settings),
        _row("search, last generation", newest, settings),
    ]


def _row(who: str, candidates: Sequence[Candidate], settings: SearchSettings) -> dict[str, Any]:
    name = settings.reward
    best_first = sorted(candidates, key=lambda candidate: candidate.order(name))
    values = [candidate.reward(name) for candidate in best_first]
    return {
        "seed": settings.seed,
        "who": who,
        "evaluations": len(values),
        "best": round(values[0], 5),
        "mean_best_5": round(fmean(values[:BEST]), 5),
        "mean": round(fmean(values), 5),
        "best_mqq": round(100 * best_first[0].mqq, 2),
        "best_mqg": round(100 * best_first[0].mqg, 2),
        "best_flops": best_first[0].flops,
    }


def main() -> None:
    """Runs all seeds; prints the table and writes it to OUT/search_vs_random.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--supernet", type=Path, default=kit.path("supernet"))
    parser.add_argument("--gallery", type=Path, default=kit.path("gallery"))
    parser.add_argument("--data", default="emoji")
    parser.add_argument("--budget", default="100M")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--random", type=int, default=50)
    parser.add_argument("--quick", action="store_true", help="100 evaluations a search")
    given = parser.parse_args()
    supernet = SupernetBundle.load(given.supernet)
    evaluator = open_evaluator(supernet, gallery=given.gallery, data=given.data)
    table = FlopsTable.of(evaluator.tier, embedding_dim=evaluator.embedding_dim)
    budget = FlopsBudget(table, parse_budget(given.budget))
    quick = EvolutionSettings(population=20, generations=7, retain=4)
    evolution = quick if given.quick else EvolutionSettings()
    rows = []
    for seed in range(given.seeds):
        settings = SearchSettings(metric=DEFAULT_METRIC, seed=seed, evolution=evolution)
        rows += compare(evaluator, budget, settings, random=given.random, out=given.out)
    print(table_text(rows, width=160))
    write_json(
        given.out / "search_vs_random.json",
        {"rows": rows, "evaluator": evaluator.to_dict(), "provenance": provenance()},
    )


if __name__ == "__main__":
    main()
