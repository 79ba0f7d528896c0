"""Which accuracy should the reward be made of? Spread, noise and saturation of each.

    python -m edgecmp.benchmarks.studies.reward_noise --out runs/noise.json

Random subnets are evaluated under several draws of the calibration images. A good metric has a
spread between subnets well above the noise of one subnet, and is far from 0 and 100 %.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp import kit
from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.files import provenance, write_json
from edgecmp.report import table_text
from edgecmp.search.evaluation.supernet import METRICS
from edgecmp.search.run import open_evaluator
from edgecmp.search.space.constraint import FlopsBudget, parse_budget
from edgecmp.search.space.flops import FlopsTable
from edgecmp.search.strategies.random import evaluate_random

__all__ = ["main", "noise_row"]


def noise_row(mqq: NDArray[np.float64], mqg: NDArray[np.float64], queries: int) -> dict[str, float]:
    """What one metric is worth, from shares (draws, subnets); percent except the last two.

    Returns:
        Means, bests and spreads between subnets of M(q,q) and M(q,g); "noise": standard deviation
        of one subnet's M(q,g) over the draws; "sampling": that of its M(q,g) over the choice of
        queries (binomial); "signal": spread of R3 over its noise; "agreement": mean rank
        correlation of R3 between two draws.
    """
    reward = mqq * mqg
    spread = float(reward.mean(0).std(ddof=1))
    noise = float(np.sqrt(reward.var(0, ddof=1).mean()))
    ranks = reward.argsort(1).argsort(1)
    pairs = np.corrcoef(ranks)[np.triu_indices(len(ranks), 1)]
    return {
        "mqq_mean": 100 * float(mqq.mean()),
        "mqq_spread": 100 * float(mqq.mean(0).std(ddof=1)),
        "mqq_best": 100 * float(mqq.mean(0).max()),
        "mqg_mean": 100 * float(mqg.mean()),
        "mqg_spread": 100 * float(mqg.mean(0).std(ddof=1)),
        "mqg_best": 100 * float(mqg.mean(0).max()),
        "mqg_noise": 100 * float(np.sqrt(mqg.var(0, ddof=1).mean())),
        "mqg_sampling": 100 * float(np.sqrt((mqg * (1 - mqg)).mean() / queries)),
        "signal": spread / noise if noise else float("inf"),
        "agreement": float(pairs.mean()),
    }


def main() -> None:
    """Evaluates, prints one row a metric and writes them to OUT."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--supernet", type=Path, default=kit.path("supernet"))
    parser.add_argument("--gallery", type=Path, default=kit.path("gallery"))
    parser.add_argument("--data", default="emoji")
    parser.add_argument("--budget", default="100M")
    parser.add_argument("--subnets", type=int, default=50)
    parser.add_argument("--draws", type=int, default=3)
    given = parser.parse_args()
    supernet = SupernetBundle.load(given.supernet)
    measured = []
    for draw in range(given.draws):
        evaluator = open_evaluator(
            supernet, gallery=given.gallery, data=given.data, calibration_seed=draw
        )
        table = FlopsTable.of(evaluator.tier, embedding_dim=evaluator.embedding_dim)
        budget = FlopsBudget(table, parse_budget(given.budget))
        found = evaluate_random(evaluator, budget, count=given.subnets, metric="top10", seed=0)
        measured.append([candidate.measurement for candidate in found])
    rows: list[dict[str, Any]] = []
    for metric in METRICS:
        mqq = np.array([[one.mqq[metric] for one in draw] for draw in measured])
        mqg = np.array([[one.mqg[metric] for one in draw] for draw in measured])
        row = noise_row(mqq, mqg, len(evaluator.holdout.query_ids))
        rows.append({"metric": metric} | {name: round(value, 3) for name, value in row.items()})
    print(table_text(rows, width=200))
    chance = {metric: round(100 * share, 2) for metric, share in evaluator.holdout.chance.items()}
    write_json(
        given.out,
        {
            "rows": rows,
            "chance": chance,
            "subnets": given.subnets,
            "draws": given.draws,
            "evaluator": evaluator.to_dict(),
            "provenance": provenance(),
        },
    )


if __name__ == "__main__":
    main()
