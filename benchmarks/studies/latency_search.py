"""The effect of a latency table on the search: winners with and without it, on the device.

    python -m edgecmp.benchmarks.studies.latency_search --table table.json --out runs/latency_search

There are two searches with the same FLOPs budget, seed and evaluator: one ignores latency
("blind"), and one has a latency bound that the winner of the first exceeds ("bounded"). From each
search the winner and the fastest architecture that reaches the same reward, within a tolerance, are
measured as whole networks. Interrupted searches resume when you rerun the command.
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
"""The default bound, relative to the latency of the blind winner."""


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
    """Runs both searches and measures their architectures on the device.

    Args:
        evaluator: evaluator of both searches.
        budget: FLOPs budget of both searches.
        table: latency table of the bounded search.
        settings: settings of both searches.
        latency_ms: bound of the bounded search; `TIGHTER` times the latency of the blind winner if
            None.
        tolerance: relative difference up to which rewards count as equal.
        remeasure: measures whole networks on the table's device.
        out: folder of both searches.

    Returns:
        "rows", one per architecture; "latency_ms"; "share", "share_flops"; "ratio_winners":
        measured latency of the blind winner relative to the bounded winner; "ratio_equal_reward":
        the same for the fastest architectures of equal reward; "reward_cost": relative loss of
        reward through the bound; "blind_misses", "found_holds": whether the blind winner exceeds
        the bound and the bounded winner satisfies it, as measured.

    Raises:
        UserError: the blind winner satisfies the bound by the table, or no architecture does.
    """
    name = settings.reward
    blind, blind_all = _searched(evaluator, budget, settings, out / "blind", None)
    blind_ms = table.predict(architecture_of(blind.genes, evaluator))
    bound_ms = latency_ms or TIGHTER * blind_ms
    if blind_ms <= bound_ms:
        raise UserError(
            f"The winner of the blind search already satisfies --latency {bound_ms:g}ms "
            f"({blind_ms:.4g} ms by the table).",
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
    """The winner of a search, and all candidates that it evaluated."""
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
    """The fastest candidate, by the table, with at least a given reward."""
    return min(
        (one for one in candidates if one.reward(name) >= least),
        key=lambda one: table.predict(architecture_of(one.genes, evaluator)),
    )


def main() -> None:
    """Runs both searches; prints the table and the ratios, and writes them to OUT."""
    parser = study_parser(__doc__)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--latency", help=f"default: {TIGHTER} of the blind winner's")
    parser.add_argument("--quick", action="store_true", help="a few minutes in total")
    parser.add_argument("--tolerance", type=float, default=0.02, help="relative, of the reward")
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
        f"{'exceeds' if report['blind_misses'] else 'satisfies'} it, the bounded winner "
        f"{'satisfies' if report['found_holds'] else 'exceeds'} it. Latency without the table "
        f"relative to with it: winners {report['ratio_winners']:.3f}, fastest at equal reward "
        f"{report['ratio_equal_reward']:.3f}. The bound costs {report['reward_cost']:.2%} of the "
        "reward."
    )
    write_study(
        given.out / "latency_search.json",
        {**report, "table": table.fingerprint, "evaluator": evaluator.to_dict()},
    )


if __name__ == "__main__":
    main()
