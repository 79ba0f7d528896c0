"""Spread, noise and saturation of each accuracy metric that a reward could use.

    python -m edgecmp.benchmarks.studies.reward_noise --out runs/noise.json

Random subnets are evaluated with several random sets of calibration images. For a good metric the
spread between subnets is well above the noise of one subnet, and the values are far from 0 and
100 %.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.benchmarks.studies.search_study import (
    add_search_arguments,
    budget_of,
    evaluator_of,
)
from edgecmp.benchmarks.studies.study import print_rows, study_parser, write_study
from edgecmp.search.evaluation.supernet import METRICS
from edgecmp.search.strategies.random import evaluate_random

__all__ = ["main", "noise_row"]


def noise_row(mqq: NDArray[np.float64], mqg: NDArray[np.float64], queries: int) -> dict[str, float]:
    """The properties of one metric; in percent except the last two.

    Args:
        mqq: M(q,q) as a share, (draws, subnets).
        mqg: M(q,g) as a share, (draws, subnets).
        queries: number of queries.

    Returns:
        Mean, best value and spread between subnets of M(q,q) and M(q,g); "mqg_noise": standard
        deviation of one subnet's M(q,g) over the draws; "mqg_sampling": that over the choice of
        queries (binomial); "signal": spread of R3 relative to its noise; "agreement": mean rank
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
    """Runs the study, prints one row per metric and writes them to OUT."""
    parser = study_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True)
    add_search_arguments(parser)
    parser.add_argument("--subnets", type=int, default=50)
    parser.add_argument("--draws", type=int, default=3)
    given = parser.parse_args()
    measured = []
    for draw in range(given.draws):
        evaluator = evaluator_of(given, calibration_seed=draw)
        candidates = evaluate_random(
            evaluator,
            budget_of(given, evaluator),
            count=given.subnets,
            metric="top10",
            seed=0,
        )
        measured.append([candidate.measurement for candidate in candidates])
    rows: list[dict[str, Any]] = []
    for metric in METRICS:
        mqq = np.array([[one.mqq[metric] for one in draw] for draw in measured])
        mqg = np.array([[one.mqg[metric] for one in draw] for draw in measured])
        row = noise_row(mqq, mqg, len(evaluator.holdout.query_ids))
        rows.append({"metric": metric} | {name: round(value, 3) for name, value in row.items()})
    print_rows(rows)
    chance = {metric: round(100 * share, 2) for metric, share in evaluator.holdout.chance.items()}
    write_study(
        given.out,
        {
            "rows": rows,
            "chance": chance,
            "subnets": given.subnets,
            "draws": given.draws,
            "evaluator": evaluator.to_dict(),
        },
    )


if __name__ == "__main__":
    main()
