"""The search, compared with random architectures under the same budget.

    python -m edgecmp.benchmarks.studies.search_vs_random --out runs/vs_random

Both use the same evaluator. Interrupted searches resume when you rerun the command.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from edgecmp.benchmarks.studies.search_study import (
    add_search_arguments,
    budget_of,
    evaluator_of,
)
from edgecmp.benchmarks.studies.study import print_rows, study_parser, write_study
from edgecmp.search.evaluation.candidate import Candidate, Evaluator
from edgecmp.search.loop import search
from edgecmp.search.settings import DEFAULT_METRIC, SearchSettings
from edgecmp.search.space.constraint import FlopsBudget
from edgecmp.search.strategies.evolution import EvolutionSettings
from edgecmp.search.strategies.random import evaluate_random

__all__ = ["compare", "main"]

BEST = 5


def compare(
    evaluator: Evaluator, budget: FlopsBudget, settings: SearchSettings, *, random: int, out: Path
) -> list[dict[str, Any]]:
    """The rows of one seed: random architectures, the search, and its last generation.

    Returns:
        Rows of "who", "seed", "evaluations"; "best", "mean_best_5" and "mean" of the reward; M(q,q)
        and M(q,g) of the best architecture in percent.
    """
    drawn = evaluate_random(
        evaluator, budget, count=random, metric=settings.metric, seed=settings.seed
    )
    found = search(evaluator, budget, settings, history=out / f"seed{settings.seed}.jsonl")
    last = max(candidate.generation for candidate in found.ranked)
    newest = [candidate for candidate in found.ranked if candidate.generation == last]
    return [
        _row(f"{random} random", drawn, settings),
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
    parser = study_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True)
    add_search_arguments(parser)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--random", type=int, default=50)
    parser.add_argument("--quick", action="store_true", help="100 evaluations per search")
    given = parser.parse_args()
    evaluator = evaluator_of(given)
    budget = budget_of(given, evaluator)
    quick = EvolutionSettings(population=20, generations=7, retain=4)
    evolution = quick if given.quick else EvolutionSettings()
    rows = []
    for seed in range(given.seeds):
        settings = SearchSettings(metric=DEFAULT_METRIC, seed=seed, strategy=evolution)
        rows += compare(evaluator, budget, settings, random=given.random, out=given.out)
    print_rows(rows)
    write_study(
        given.out / "search_vs_random.json", {"rows": rows, "evaluator": evaluator.to_dict()}
    )


if __name__ == "__main__":
    main()
