"""`--strategy pareto` and `--input-sizes`, compared with the evolution at one input size.

    python -m edgecmp.benchmarks.studies.search_options --quick --seeds 3 --out runs/search_options

All searches use the same budget and the starter kit's supernet and gallery, and differ only in
these options. Their results are cut to the number of evaluations of the shortest. Interrupted
searches resume when you rerun the command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from pymoo.indicators.hv import HV

from edgecmp.benchmarks.studies.search_study import with_rewards_in_full
from edgecmp.benchmarks.studies.study import print_rows, study_parser, write_study
from edgecmp.search.evaluation.candidate import Candidate
from edgecmp.search.results.history import read_history
from edgecmp.search.run import run
from edgecmp.search.space.constraint import parse_budget

__all__ = ["figures", "main"]


def figures(
    searches: Mapping[str, Sequence[Candidate]], budget: int, *, seed: int
) -> list[dict[str, Any]]:
    """The rows of one seed, one per search.

    Args:
        searches: by name: the candidates in the order of their evaluation.
        budget: FLOPs budget of all searches.
        seed: seed of all searches.

    Returns:
        Rows of "who", "seed", "evaluations"; "best" and "mean_best_5" of R3; "area": hypervolume
        of the front of FLOPs (relative to the budget) and R3, 0..1.
    """
    count = min(len(candidates) for candidates in searches.values())
    rows = []
    for who, candidates in searches.items():
        values = np.array([one.reward("r3") for one in candidates[:count]])
        flops = np.array([one.flops for one in candidates[:count]])
        area = HV(ref_point=np.array([1.0, 0.0]))(np.stack((flops / budget, -values), 1))
        rows.append(
            {
                "seed": seed,
                "who": who,
                "evaluations": count,
                "best": round(float(values.max()), 4),
                "mean_best_5": round(float(np.sort(values)[-5:].mean()), 4),
                "area": round(float(area), 4),
            }
        )
    return rows


def _mean(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of the rows of one search over the seeds; the spread is largest minus smallest."""
    best = [row["best"] for row in rows]
    return {
        "who": rows[0]["who"],
        "seeds": len(rows),
        "evaluations": rows[0]["evaluations"],
        "best": round(fmean(best), 4),
        "spread": round(max(best) - min(best), 4),
        "mean_best_5": round(fmean(row["mean_best_5"] for row in rows), 4),
        "area": round(fmean(row["area"] for row in rows), 4),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Runs all searches; prints the table and writes it to OUT/search_options.json."""
    parser = study_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--budget", default="100M")
    parser.add_argument("--sizes", default="48,56,64", help="input sizes, if the size is searched")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="100 evaluations each, not 730")
    parser.add_argument("--jobs", type=int, help="parallel processes")
    given = parser.parse_args(argv)
    options = {
        f"{strategy}{', sizes' if sizes else ''}": (strategy, sizes)
        for sizes in (None, given.sizes)
        for strategy in ("evolution", "pareto")
    }
    rows: list[dict[str, Any]] = []
    for seed in range(given.seeds):
        searches = {}
        for who, (strategy, sizes) in options.items():
            out = given.out / f"{who.replace(', ', '-')}-{seed}"
            run(
                given.budget,
                out=out,
                quick=given.quick,
                seed=seed,
                strategy=strategy,
                input_sizes=sizes,
                jobs=given.jobs,
            )
            searches[who] = read_history(out / "history.jsonl")[1]
        rows += figures(searches, parse_budget(given.budget), seed=seed)
        print_rows(with_rewards_in_full(rows[-len(options) :]))
    means = [_mean([row for row in rows if row["who"] == who]) for who in options]
    print_rows(with_rewards_in_full(means))
    write_study(given.out / "search_options.json", {"rows": rows, "means": means})


if __name__ == "__main__":
    main()
