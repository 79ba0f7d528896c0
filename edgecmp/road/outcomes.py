"""What the finished stations of a run tell the later ones: the best finalist, the proven file, the
real pace of trainings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edgecmp.files import read_json
from edgecmp.road.commands import Places
from edgecmp.road.costs import FINALISTS, Costs, Pace, Work
from edgecmp.road.recipe_files import schedule_of
from edgecmp.road.record import Record, StationRecord

__all__ = [
    "best_finalist",
    "corrected",
    "passes_made",
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
    """A measured pace with the real one of the trainings that are finished.

    Args:
        pace: as it was measured.
        work: of the run.
        record: of the run.
    """
    for station in ("finalists", "query"):
        begun = record.stations.get(station)
        if begun is None or not begun.passes or not record.is_done(station):
            continue
        seconds = sum(epoch["seconds"] for epoch in _epochs(record, station, begun))
        passes = passes_made(record, station, work)
        pace = replace(pace, query=seconds / _expected(station, begun, passes, pace, work))
    return pace


def passes_made(record: Record, station: str, work: Work) -> float:
    """Passes of each training of a station: those planned, or what its time limit left of them."""
    begun = record.begun(station)
    if begun is None or not begun.passes:
        return 0.0
    if not record.is_done(station):
        return begun.passes
    trainings = FINALISTS if station == "finalists" else 1
    planned = trainings * schedule_of(begun.passes, work.images)["epochs"]
    return begun.passes * len(_epochs(record, station, begun)) / planned


def _epochs(record: Record, station: str, begun: StationRecord) -> list[dict[str, Any]]:
    """The records of all epochs of a finished station's trainings."""
    count = len(begun.commands)
    reports = [read_report(record, report_name(station, n, count)) for n in range(count)]
    return [epoch for report in reports for epoch in report.get("epochs", ())]


def _expected(station: str, begun: StationRecord, passes: float, pace: Pace, work: Work) -> float:
    """Seconds of the passes of a station's trainings by the measured pace."""
    costs = Costs(work=work, pace=replace(pace, query=1.0)).with_views(begun.views)
    if begun.short:
        return costs.short_query(passes) - costs.short_query(0)
    trainings = FINALISTS if station == "finalists" else 1
    return trainings * (costs.query(passes) - costs.query(0))
