"""Search with a predictor, compared with the evolution and with random sampling.

    python -m edgecmp.benchmarks.studies.predictor_study --quick --seeds 3 --out runs/predictor

All three measure the same number of architectures under the same budget with the same evaluator.
Each row also states the best reward that was found within the wall time of the fastest strategy.
Measurements are kept in OUT/measured.jsonl by genes, so that no architecture is evaluated twice;
the time of an evaluation is that of its first one. Interrupted searches resume when you rerun the
command.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import numpy as np

from edgecmp.benchmarks.studies.cached_evaluator import CachedEvaluator
from edgecmp.benchmarks.studies.search_study import (
    add_search_arguments,
    budget_of,
    evaluator_of,
    with_rewards_in_full,
)
from edgecmp.benchmarks.studies.study import print_rows, study_parser, write_study
from edgecmp.metrics.rank import kendall_tau
from edgecmp.search.evaluation.candidate import Candidate
from edgecmp.search.evaluation.rewards import reward as reward_named
from edgecmp.search.loop import search
from edgecmp.search.settings import search_settings
from edgecmp.search.space.constraint import FlopsBudget
from edgecmp.search.space.space import Space
from edgecmp.search.strategies.gaussian_process import fit_predictor
from edgecmp.search.strategies.random import evaluate_random

__all__ = ["compare", "main", "rank_correlation"]

FOLDS = 4


def compare(
    evaluator: CachedEvaluator,
    budget: FlopsBudget,
    *,
    seed: int,
    quick: bool,
    metric: str,
    evaluations: int | None,
    out: Path,
) -> list[dict[str, Any]]:
    """The rows of one seed: random, evolution and predictor.

    Args:
        evaluator: evaluator of all three.
        budget: budget of all three.
        seed: seed of all three.
        quick: whether to use about 100 evaluations; otherwise 400, as a full search does.
        metric: the metric of the reward R3.
        evaluations: number of evaluations per strategy; that of the shortest search if None.
        out: folder of the histories.

    Returns:
        Rows of "who", "seed", "evaluations", "best", "mean_best_5"; "seconds" (of the evaluations
        and of the strategy itself); "best_at_equal_time" (None if the strategy itself took longer);
        M(q,q) and M(q,g) of the best architecture in percent.
    """
    searched: dict[str, tuple[list[Candidate], float]] = {}
    for strategy in ("evolution", "predictor"):
        settings = search_settings(strategy=strategy, metric=metric, quick=quick, seed=seed)
        history = out / f"{strategy}-{seed}.jsonl"
        outcome = search(evaluator, budget, settings, history=history)
        in_order = sorted(outcome.ranked, key=lambda one: (one.generation, one.index))
        own = outcome.seconds - outcome.new * (outcome.seconds_each or 0)
        searched[strategy] = (in_order, max(0.0, own))
    count = evaluations or min(len(candidates) for candidates, _ in searched.values())
    drawn = evaluate_random(evaluator, budget, count=count, metric=metric, seed=seed)
    searched = {"random": (drawn, 0.0), **searched}
    times = {
        who: [*np.cumsum([evaluator.seconds[one.genes] for one in candidates[:count]]) + own]
        for who, (candidates, own) in searched.items()
    }
    until = min(last[-1] for last in times.values())
    return [
        _row(who, seed, candidates[:count], times[who], until)
        for who, (candidates, _) in searched.items()
    ]


def _row(
    who: str, seed: int, candidates: Sequence[Candidate], times: Sequence[float], until: float
) -> dict[str, Any]:
    values = [one.reward("r3") for one in candidates]
    best = sorted(candidates, key=lambda one: one.order("r3"))
    in_time = [value for value, at in zip(values, times, strict=True) if at <= until]
    return {
        "seed": seed,
        "who": who,
        "evaluations": len(values),
        "best": round(best[0].reward("r3"), 5),
        "mean_best_5": round(fmean(one.reward("r3") for one in best[:5]), 5),
        "best_at_equal_time": round(max(in_time), 5) if in_time else None,
        "seconds": round(float(times[-1]), 1),
        "best_mqq": round(100 * best[0].mqq, 2),
        "best_mqg": round(100 * best[0].mqg, 2),
        "best_flops": best[0].flops,
    }


def rank_correlation(
    candidates: Sequence[Candidate], space: Space, *, reward: str = "r3", seed: int = 0
) -> dict[str, Any]:
    """Kendall's tau of predicted and measured rewards, by cross-validation with four folds.

    Returns:
        "fitted_to" (number of architectures), "tau" (mean over the folds) and "error" (its standard
        error).
    """
    rows = np.array([one.genes for one in candidates], np.uint8)
    flops = space.flops(rows)
    accuracies = np.array([(one.mqq, one.mqg) for one in candidates])
    measured = np.array([one.reward(reward) for one in candidates])
    taus = []
    for held in np.array_split(np.random.default_rng(seed).permutation(len(rows)), FOLDS):
        rest = np.setdiff1d(np.arange(len(rows)), held)
        predictor = fit_predictor(space.choices, rows[rest], flops[rest], accuracies[rest])
        predicted = predictor.predict(rows[held], flops[held])
        values = [reward_named(reward)(*pair) for pair in predicted.tolist()]
        taus.append(kendall_tau(values, measured[held].tolist()))
    return {
        "fitted_to": len(rows) - len(rows) // FOLDS,
        "tau": round(fmean(taus), 3),
        "error": round(pstdev(taus) / FOLDS**0.5, 3),
    }


def _means(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over the seeds, one row per strategy; the spread is the standard deviation."""
    best: dict[str, list[float]] = {}
    for row in rows:
        best.setdefault(row["who"], []).append(row["best"])
    return [
        {
            "who": who,
            "seeds": len(values),
            "best": round(fmean(values), 5),
            "spread": round(pstdev(values), 5),
        }
        for who, values in best.items()
    ]


def main() -> None:
    """Runs all seeds; prints the table and writes it to OUT/predictor_study.json."""
    parser = study_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True)
    add_search_arguments(parser)
    parser.add_argument("--metric", default="top1")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--evaluations", type=int, help="per strategy (default: shortest search)")
    parser.add_argument("--quick", action="store_true", help="100 evaluations each, not 400")
    given = parser.parse_args()
    evaluator = CachedEvaluator(evaluator_of(given), given.out / "measured.jsonl")
    budget = budget_of(given, evaluator)
    rows: list[dict[str, Any]] = []
    for seed in range(given.seeds):
        rows += compare(
            evaluator,
            budget,
            seed=seed,
            quick=given.quick,
            metric=given.metric,
            evaluations=given.evaluations,
            out=given.out,
        )
        print_rows(with_rewards_in_full(rows[-3:]))
    means = _means(rows)
    print_rows(with_rewards_in_full(means))
    write_study(
        given.out / "predictor_study.json",
        {"rows": rows, "means": means, "evaluator": evaluator.to_dict()},
    )


if __name__ == "__main__":
    main()
