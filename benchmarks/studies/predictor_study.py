"""Is a predictor worth it? Search by a predictor against the evolution and against random.

    python -m edgecmp.benchmarks.studies.predictor_study --quick --seeds 3 --out runs/predictor

Each measures the same number of architectures under the same budget with the same evaluator. Every
row is also shown at the wall time that the fastest of its seed took: what it had found by then.
What was measured is kept in OUT/measured.jsonl by genes, so that no architecture is evaluated
twice, whichever searches ask for it; each keeps the seconds that its first evaluation took.
Searches resume where they were stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import numpy as np

from edgecmp import kit
from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.files import provenance, write_atomic, write_json
from edgecmp.networks.architecture import Architecture
from edgecmp.report import table_text
from edgecmp.search.evaluation.candidate import Candidate, Evaluator, Measurement
from edgecmp.search.evaluation.rewards import reward as reward_named
from edgecmp.search.loop import search
from edgecmp.search.run import open_evaluator
from edgecmp.search.settings import search_settings
from edgecmp.search.space.constraint import FlopsBudget, parse_budget
from edgecmp.search.space.flops import FlopsTable
from edgecmp.search.space.space import Space
from edgecmp.search.strategies.gaussian_process import fit_predictor
from edgecmp.search.strategies.random import evaluate_random

__all__ = ["Remembering", "compare", "main", "rank_correlation", "shown"]

FOLDS = 4


class Remembering:
    """An evaluator that evaluates each architecture once, in this run or an earlier one.

    Args:
        evaluator: what evaluates.
        file: one line an architecture; begun anew if another evaluator wrote it. A last line that
            was not finished is left out.
    """

    def __init__(self, evaluator: Evaluator, file: Path) -> None:
        self._evaluator = evaluator
        self.tier = evaluator.tier
        self.embedding_dim = evaluator.embedding_dim
        self.input_size = evaluator.input_size
        self.metrics = evaluator.metrics
        self.seconds: dict[tuple[int, ...], float] = {}
        self._known: dict[tuple[int, ...], Measurement] = {}
        self._file = file
        about = json.loads(json.dumps(evaluator.to_dict()))
        text = file.read_text() if file.exists() else ""
        header, *lines = text[: text.rfind("\n") + 1].splitlines() or [""]
        if not header or json.loads(header) != about:
            header, lines = json.dumps(about), []
        for line in lines:
            self._keep(json.loads(line))
        write_atomic(file, "".join(f"{line}\n" for line in (header, *lines)).encode())

    def evaluate(self, architecture: Architecture) -> Measurement:
        """What was or is now measured."""
        genes = tuple(architecture.genes)
        if genes not in self._known:
            start = time.perf_counter()
            found = self._evaluator.evaluate(architecture)
            seconds = time.perf_counter() - start
            document = {"genes": list(genes), "seconds": seconds, **asdict(found)}
            with self._file.open("a") as file:
                file.write(json.dumps(document) + "\n")
            self._keep(document)
        return self._known[genes]

    def to_dict(self) -> dict[str, Any]:
        """All that decides its numbers."""
        return self._evaluator.to_dict()

    def _keep(self, document: dict[str, Any]) -> None:
        genes = tuple(document["genes"])
        self._known[genes] = Measurement(mqq=document["mqq"], mqg=document["mqg"])
        self.seconds[genes] = document["seconds"]


def compare(
    evaluator: Remembering,
    budget: FlopsBudget,
    *,
    seed: int,
    quick: bool,
    metric: str,
    evaluations: int | None,
    out: Path,
) -> list[dict[str, Any]]:
    """One seed: a row for random, evolution and predictor.

    Args:
        evaluator: of all.
        budget: of all.
        seed: of all; each draws its own.
        quick: about 100 evaluations; else as many as a full search by a predictor has, 400.
        metric: that the reward R3 is made of.
        evaluations: of each, the first that it proposes; as many as the shortest has if None.
        out: folder of the histories.

    Returns:
        "who", "seed", "evaluations", "best", "mean_best_5"; "seconds": of its evaluations and of
        its own computing; "best_at_equal_time" (None if its own computing took longer);
        M(q,q) and M(q,g) of the best in percent.
    """
    found: dict[str, tuple[list[Candidate], float]] = {}
    for strategy in ("evolution", "predictor"):
        settings = search_settings(strategy=strategy, metric=metric, quick=quick, seed=seed)
        history = out / f"{strategy}-{seed}.jsonl"
        outcome = search(evaluator, budget, settings, history=history)
        in_order = sorted(outcome.ranked, key=lambda one: (one.generation, one.index))
        own = outcome.seconds - outcome.new * (outcome.seconds_each or 0)
        found[strategy] = (in_order, max(0.0, own))
    count = evaluations or min(len(candidates) for candidates, _ in found.values())
    blind = evaluate_random(evaluator, budget, count=count, metric=metric, seed=seed)
    found = {"random": (blind, 0.0), **found}
    times = {
        who: [*np.cumsum([evaluator.seconds[one.genes] for one in candidates[:count]]) + own]
        for who, (candidates, own) in found.items()
    }
    until = min(last[-1] for last in times.values())
    return [
        _row(who, seed, candidates[:count], times[who], until)
        for who, (candidates, _) in found.items()
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
    """Kendall's tau of predicted and measured rewards, on quarters that were not fitted to.

    Returns:
        "fitted_to", "tau": mean over the quarters, "error": its standard error.
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
        values = np.array([reward_named(reward)(*pair) for pair in predicted.tolist()])
        taus.append(_tau(values, measured[held]))
    return {
        "fitted_to": len(rows) - len(rows) // FOLDS,
        "tau": round(fmean(taus), 3),
        "error": round(pstdev(taus) / FOLDS**0.5, 3),
    }


def _tau(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> float:
    """Kendall's tau-b."""
    signs = [np.sign(np.subtract.outer(part, part)) for part in (left, right)]
    norm = np.sqrt((signs[0] ** 2).sum() * (signs[1] ** 2).sum())
    return float((signs[0] * signs[1]).sum() / norm)


def shown(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """For the screen: rewards and areas with four digits, where two searches differ."""
    rewards = ("best", "mean_best_5", "best_at_equal_time", "spread", "area")
    return [
        {key: f"{value:.4f}" if key in rewards else value for key, value in row.items()}
        for row in rows
    ]


def main() -> None:
    """Runs all seeds; prints the table and writes it to OUT/predictor_study.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--supernet", type=Path, default=kit.path("supernet"))
    parser.add_argument("--gallery", type=Path, default=kit.path("gallery"))
    parser.add_argument("--data", default="emoji")
    parser.add_argument("--budget", default="100M")
    parser.add_argument("--metric", default="top1")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--evaluations", type=int, help="of each; as many as the shortest has")
    parser.add_argument("--quick", action="store_true", help="100 evaluations each, not 400")
    given = parser.parse_args()
    supernet = SupernetBundle.load(given.supernet)
    measuring = open_evaluator(supernet, gallery=given.gallery, data=given.data)
    evaluator = Remembering(measuring, given.out / "measured.jsonl")
    table = FlopsTable.of(evaluator.tier, embedding_dim=evaluator.embedding_dim)
    budget = FlopsBudget(table, parse_budget(given.budget))
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
        print(table_text(shown(rows[-3:]), width=160), flush=True)
    means = [
        {
            "who": who,
            "seeds": given.seeds,
            "best": round(fmean(row["best"] for row in rows if row["who"] == who), 5),
            "spread": round(pstdev(row["best"] for row in rows if row["who"] == who), 5),
        }
        for who in dict.fromkeys(row["who"] for row in rows)
    ]
    print(table_text(shown(means), width=160))
    write_json(
        given.out / "predictor_study.json",
        {
            "rows": rows,
            "means": means,
            "evaluator": evaluator.to_dict(),
            "provenance": provenance(),
        },
    )


if __name__ == "__main__":
    main()
