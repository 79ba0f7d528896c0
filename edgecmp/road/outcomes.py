"""What the finished stations of a run tell the later ones: the best finalist, the real pace of
trainings, the proven file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edgecmp.files import read_json
from edgecmp.road.commands import Places
from edgecmp.road.costs import FINALISTS, Costs, Pace, Work
from edgecmp.road.recipe_files import schedule_of
from edgecmp.road.record import Record

__all__ = [
    "best_finalist",
    "corrected",
    "proven_file",
    "read_report",
    "report_name",
    "runs_here",
]


def report_name(station: str, number: int, count: int) -> str:
    """The report of a station's command: "reports/query.json", "reports/export-2.json"."""
    return f"reports/{station}.json" if count == 1 else f"reports/{station}-{number + 1}.json"


def read_report(record: Record, name: str) -> dict[str, Any]:
    """A report of a command of the run."""
    return read_json(record.out / name, what="the report of a command")


def best_finalist(record: Record) -> int | None:
    """The rank of the finalist that finds most on the hold-out; None without finalists."""
    if not record.is_done("finalists"):
        return None
    scores = {}
    for number in range(1, FINALISTS + 1):
        (row,) = read_report(record, report_name("finalists", number, FINALISTS + 1))["rows"]
        scores[number] = (row["qg_top10"] + row["qg_top1"], -number)
    return max(scores, key=scores.__getitem__)


def runs_here(runtime: object) -> bool:
    """Whether a runtime of a proof is one that a phone has, not a reference interpreter."""
    return "reference" not in str(runtime)


def proven_file(record: Record) -> str:
    """The smallest file that is proven and runs here; the query network if there is none."""
    network = Places(record.out).network
    if not record.is_done("parity"):
        return network
    rows = read_report(record, "reports/parity.json")["rows"]
    proven = [row for row in rows if row["verdict"] == "pass" and runs_here(row["runtime"])]
    best = min(proven, key=lambda row: row["size_mb"], default=None)
    return network if best is None else str(best["file"])


def corrected(pace: Pace, work: Work, record: Record) -> Pace:
    """A measured pace with the real one of the finalists' trainings, if they are finished.

    Args:
        pace: as it was measured.
        work: of the run.
        record: of the run.
    """
    begun = record.stations.get("finalists")
    if begun is None or not begun.passes or not record.is_done("finalists"):
        return pace
    count = len(begun.commands)
    reports = [read_report(record, report_name("finalists", n, count)) for n in range(count)]
    epochs = [epoch for report in reports for epoch in report.get("epochs", ())]
    planned = FINALISTS * schedule_of(begun.passes, work.images)["epochs"]
    passes = begun.passes * len(epochs) / planned  # of each; their time limits may change them
    costs = Costs(work=work, pace=replace(pace, query=1.0)).with_views(begun.views)
    expected = FINALISTS * (costs.query(passes) - costs.query(0))
    return replace(pace, query=sum(epoch["seconds"] for epoch in epochs) / expected)
