"""RoadReport: what a run reached, from the reports of its commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgecmp.files import provenance, read_json
from edgecmp.progress import duration
from edgecmp.report import Report
from edgecmp.road.commands import EXPORTS
from edgecmp.road.driver import Driver
from edgecmp.road.duration import time_text
from edgecmp.road.outcomes import read_report, report_name, runs_here
from edgecmp.training.adapter import adapter_sentence

__all__ = ["RoadReport", "file_rows", "make_verdict", "notes_of", "station_rows"]

LEAST_FOR_TEN = 100
"""Gallery images with which chance finds at most a tenth of the queries within ten."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class RoadReport(Report):
    """The figures, files and times of a run.

    Attributes:
        rows: those of `edgecmp eval`: one per "protocol" ("gg", "qq", "qg").
        files: one per exported file: "file", "target", "precision", "input", "size_mb", "verdict"
            ("proven", "failed" or "not run"), "runtimes" (those that it was proven in),
            "latency_ms" (the lowest median of its runtimes on this machine) and "reason".
        stations: "station", "planned_s" by the first plan, "took_s" and "notes".
        verdict: one line.
        proven: whether at least one file is proven and none failed.
        queries: number of test queries that were used.
        all_queries: number of test queries.
        gallery_images: number of gallery images of the test split.
        queries_note: what the queries are, if they are altered copies; empty for most data.
        seconds: that the run has worked.
        asked_s: that it was given.
        notes: what the network learned, if not the gallery model's embeddings, and what was left
            out and why.
        page: the report page.
        query: folder of the query network.
        provenance: the versions and the command that made the report.
    """

    rows: list[dict[str, Any]]
    files: list[dict[str, Any]]
    stations: list[dict[str, Any]]
    verdict: str
    proven: bool
    queries: int
    all_queries: int
    gallery_images: int
    queries_note: str
    seconds: float
    asked_s: float
    notes: list[str]
    page: Path
    query: Path
    provenance: dict[str, str] = field(default_factory=provenance)

    def heading(self) -> str:
        """The verdict."""
        return f"\n{self.verdict}"

    def sentences(self) -> list[str]:
        """The files, the notes and the time."""
        files = [
            f"{row['verdict']}: {row['file']} ({row['size_mb']:.2f} MB)"
            + ("" if row["latency_ms"] is None else f", {row['latency_ms']:.2f} ms here")
            + (f": {row['reason']}" if row["verdict"] == "failed" else "")
            for row in self.files
        ]
        took = f"Took {duration(self.seconds)} of {time_text(self.asked_s)}."
        queries = [self.queries_note] if self.queries_note else []
        return [*queries, *files, *self.notes, took]

    def written(self) -> dict[str, Path]:
        """The query network and the page."""
        return {"the query network": self.query, "the report": self.page}

    def to_dict(self) -> dict[str, Any]:
        """What `edgecmp run --json` writes."""
        return {
            "rows": self.rows,
            "files": self.files,
            "verdict": self.verdict,
            "proven": self.proven,
            "seconds": round(self.seconds, 1),
            "asked_s": self.asked_s,
            "queries": self.queries,
            "all_queries": self.all_queries,
            "gallery_images": self.gallery_images,
            "queries_note": self.queries_note,
            "stations": self.stations,
            "notes": self.notes,
            "query": str(self.query),
            "page": str(self.page),
            "provenance": self.provenance,
        }


def file_rows(driver: Driver) -> list[dict[str, Any]]:
    """The exported files with their verdicts and latencies; see `RoadReport.files`."""
    parity = _rows_of(driver, "parity")
    bench = _rows_of(driver, "bench")
    rows = []
    for number, export in enumerate(EXPORTS):
        place = driver.places / f"files/{export.name}"
        if place not in driver.places.files:
            continue
        report = read_report(driver.record, report_name("export", number, len(EXPORTS)))
        (written,) = report["rows"]
        proofs = [row for row in parity if row["file"] == place]
        times = [row["p50_ms"] for row in bench if row["file"] == place and row["p50_ms"]]
        if not bench:
            known = [row for row in proofs if row.get("latency_ms") and runs_here(row["runtime"])]
            times = [row["latency_ms"] for row in known]
        rows.append(
            {
                "file": place,
                "target": export.target,
                "precision": export.precision,
                "input": export.input,
                "size_mb": written["size_mb"],
                **_proof(proofs),
                "latency_ms": min(times, default=None),
            }
        )
    return rows


def _rows_of(driver: Driver, station: str) -> list[dict[str, Any]]:
    """The rows of a station's report; none if it was left out."""
    if not driver.record.is_done(station):
        return []
    rows: list[dict[str, Any]] = read_report(driver.record, f"reports/{station}.json")["rows"]
    return rows


def _proof(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The verdict on a file by its rows in a parity report, one per runtime."""
    failed = [row for row in rows if row["verdict"] == "fail"]
    proven = [str(row["runtime"]) for row in rows if row["verdict"] == "pass"]
    verdict = "failed" if failed else "proven" if proven else "not run"
    reasons = [str(row["reason"]) for row in failed or rows if row["reason"]]
    return {
        "verdict": verdict,
        "runtimes": proven,
        "reason": reasons[0] if reasons and verdict != "proven" else "",
    }


def station_rows(driver: Driver) -> list[dict[str, Any]]:
    """What each station was planned to take, and took."""
    record = driver.record
    rows = []
    for name, planned in record.plan.items():
        begun = record.stations.get(name)
        took = None if begun is None or begun.seconds is None else round(begun.seconds, 1)
        notes = [] if begun is None else begun.notes
        rows.append(
            {"station": name, "planned_s": round(planned, 1), "took_s": took, "notes": notes}
        )
    return rows


def notes_of(driver: Driver) -> list[str]:
    """What the network learned, and what was left out or failed without ending the run."""
    notes = [note for begun in driver.record.stations.values() for note in begun.notes]
    manifest = read_json(Path(driver.places.network) / "manifest.json", what="a query network")
    if (adapter := manifest["metrics"].get("adapter")) is not None:
        notes.insert(0, adapter_sentence(adapter))
    if driver.record.is_done("parity"):
        stages = read_report(driver.record, "reports/parity.json").get("stages", ())
        notes += [
            f"Before any file, stage {stage['stage']}: {stage['reason']}."
            for stage in stages
            if stage["verdict"] == "fail"
        ]
    return notes


def make_verdict(
    rows: Sequence[Mapping[str, Any]], files: Sequence[Mapping[str, Any]], gallery_images: int
) -> str:
    """One line: what the phone finds of what the server finds, and whether the files are proven.

    Args:
        rows: of the evaluation.
        files: with their verdicts.
        gallery_images: of the test split. In a gallery of fewer than `LEAST_FOR_TEN`, chance alone
            finds many within ten, and the verdict is by the best answer.
    """
    few = gallery_images < LEAST_FOR_TEN
    by = {row["protocol"]: row["top1" if few else "top10"] for row in rows}
    place = "in first place" if few else "within ten"
    server, phone, alone = by["gg"], by["qg"], by["qq"]
    if server > 0:
        share = 100 * phone / server
        found = (
            f"The phone finds {share:.0f} % of what the server finds {place} "
            f"({phone:.1f} of {server:.1f} queries in 100)"
        )
    else:
        found = f"The server itself finds none of the queries {place}"
    if phone < alone:
        found += f"; an index of its own would give {alone:.1f}"
    counts = {
        verdict: sum(row["verdict"] == verdict for row in files)
        for verdict in ("proven", "failed", "not run")
    }
    proof = f"{counts['proven']} of {len(files)} files proven"
    if counts["failed"]:
        proof += f", {counts['failed']} failed"
    return f"{found}; {proof}."
