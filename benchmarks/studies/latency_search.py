"""What a latency table is worth in the search: winners with and without it, on the device.

    python -m edgecmp.benchmarks.studies.latency_search --table table.json --out runs/latency_search

Two searches under the same FLOPs, with the same seed and evaluator: one blind to latency, one under
a bound that the first one's winner misses. Of each search the fastest architecture that reaches the
same reward, within a tolerance, is taken too; all are measured again as whole networks. Both
searches resume where they were stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.benchmarks.latency import measure_networks
from edgecmp.benchmarks.studies.search_study import (
    add_search_arguments,
    budget_of,
    evaluator_of,
)
from edgecmp.benchmarks.studies.study import print_rows, study_parser, write_study
from edgecmp.errors import UserError
from edgecmp.search.evaluation.candidate import Candidate, Evaluator, architecture_of
from edgecmp.search.loop import search
from edgecmp.search.results.verify import Remeasure
from edgecmp.search.run import search_and_write
from edgecmp.search.settings import SearchSettings, search_settings
from edgecmp.search.space.constraint import FlopsBudget
from edgecmp.search.space.latency_budget import LatencyBudget, parse_latency

__all__ = ["main", "study"]

TIGHTER = 0.8
"""The bound as a part of the blind winner's latency, if none is given."""


def study(
    evaluator: Evaluator,
    budget: FlopsBudget,
    table: LatencyTable,
    settings: SearchSettings,
    *,
    latency_ms: float | None,
    tolerance: float,
    remeasure: Remeasure,
    out: Path,
) -> dict[str, Any]:
    """Both searches, and what their architectures take on the device.

    Args:
        evaluator: of both searches.
        budget: FLOPs of both.
        table: of the second search.
        settings: of both.
        latency_ms: bound of the second search; `TIGHTER` of the first one's winner if None.
        tolerance: rewards that differ by this part count as the same.
        remeasure: measures whole networks on the table's device.
        out: folder of both searches.

    Returns:
        "rows", one an architecture; "latency_ms"; "share", "share_flops"; "ratio_winners": the
        blind winner's measured latency over the other's; "ratio_equal_reward": the same of the
        fastest that reach the same reward; "reward_cost": the part of the reward that the bound
        costs; "blind_misses", "found_holds": the winners' measured latencies against the bound.

    Raises:
        UserError: the blind winner holds the bound by the table, or nothing holds it.
    """
    name = settings.reward
    blind, blind_all = _searched(evaluator, budget, settings, out / "blind", None)
    blind_ms = table.predict(architecture_of(blind.genes, evaluator))
    bound_ms = latency_ms or TIGHTER * blind_ms
    if blind_ms <= bound_ms:
        raise UserError(
            f"The winner of the blind search takes {blind_ms:.4g} ms by the table and holds "
            f"{bound_ms:g} ms, so there is nothing to compare.",
            f"Use a --latency below {blind_ms:.4g}ms.",
        )
    bound = LatencyBudget(budget, table, bound_ms)
    found, found_all = _searched(evaluator, bound, settings, out / "bounded", remeasure)
    same = (1 - tolerance) * min(blind.reward(name), found.reward(name))
    chosen = [
        ("blind, winner", blind),
        ("bounded, winner", found),
        ("blind, fastest at equal reward", _fastest(blind_all, evaluator, table, name, same)),
        ("bounded, fastest at equal reward", _fastest(found_all, evaluator, table, name, same)),
    ]
    measured = remeasure([architecture_of(one.genes, evaluator) for _, one in chosen])
    rows = [
        {
            "who": who,
            "evaluations": len(found_all if "bounded" in who else blind_all),
            name: round(one.reward(name), 5),
            "mqq": round(100 * one.mqq, 2),
            "mqg": round(100 * one.mqg, 2),
            "flops_224": one.flops,
            "latency_ms": round(table.predict(architecture_of(one.genes, evaluator)), 5),
            "measured_ms": round(time, 5),
            "holds": time <= bound_ms,
        }
        for (who, one), time in zip(chosen, measured, strict=True)
    ]
    return {
        "rows": rows,
        "latency_ms": bound_ms,
        "share": bound.share,
        "share_flops": budget.share,
        "tolerance": tolerance,
        "equal_reward": same,
        "ratio_winners": measured[0] / measured[1],
        "ratio_equal_reward": measured[2] / measured[3],
        "reward_cost": 1 - found.reward(name) / blind.reward(name),
        "blind_misses": measured[0] > bound_ms,
        "found_holds": measured[1] <= bound_ms,
    }


def _searched(
    evaluator: Evaluator,
    bound: FlopsBudget | LatencyBudget,
    settings: SearchSettings,
    out: Path,
    remeasure: Remeasure | None,
) -> tuple[Candidate, Sequence[Candidate]]:
    """The winner of a search, and all that it evaluated."""
    result = search_and_write(evaluator, bound, settings, out, remeasure=remeasure)
    ranked = search(evaluator, bound, settings, history=result.files["history"]).ranked
    return ranked[result.winner - 1], ranked


def _fastest(
    candidates: Sequence[Candidate],
    evaluator: Evaluator,
    table: LatencyTable,
    name: str,
    least: float,
) -> Candidate:
    """The fastest, by the table, of those that reach a reward."""
    return min(
        (one for one in candidates if one.reward(name) >= least),
        key=lambda one: table.predict(architecture_of(one.genes, evaluator)),
    )


def main() -> None:
    """Runs both searches; prints the table and the ratios, and writes them to OUT."""
    parser = study_parser(__doc__)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--latency", help=f"{TIGHTER} of the blind winner's if not given")
    parser.add_argument("--quick", action="store_true", help="a few minutes in all")
    parser.add_argument("--tolerance", type=float, default=0.02, help="of the reward")
    add_search_arguments(parser)
    given = parser.parse_args()
    table = LatencyTable.load(given.table)
    evaluator = evaluator_of(given)
    report = study(
        evaluator,
        budget_of(given, evaluator),
        table,
        search_settings(quick=given.quick),
        latency_ms=parse_latency(given.latency) if given.latency else None,
        tolerance=given.tolerance,
        remeasure=lambda architectures: measure_networks(table, architectures),
        out=given.out,
    )
    print_rows(report["rows"])
    print(
        f"Bound {report['latency_ms']:.4g} ms: the blind winner "
        f"{'misses' if report['blind_misses'] else 'holds'} it, the other "
        f"{'holds' if report['found_holds'] else 'misses'} it. Latency without over with the "
        f"table: winners {report['ratio_winners']:.3f}, fastest at equal reward "
        f"{report['ratio_equal_reward']:.3f}. The bound costs {report['reward_cost']:.2%} of the "
        "reward."
    )
    write_study(
        given.out / "latency_search.json",
        {**report, "table": table.fingerprint, "evaluator": evaluator.to_dict()},
    )


if __name__ == "__main__":
    main()
