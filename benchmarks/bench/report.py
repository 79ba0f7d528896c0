"""BenchReport: what a bench measured, and what of it an interrupted bench leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgecmp.benchmarks.bench.case import Case
from edgecmp.benchmarks.bench.plan import BenchPlan
from edgecmp.benchmarks.bench.profile_text import profile_text
from edgecmp.errors import UserError
from edgecmp.files import provenance, read_json
from edgecmp.progress import say
from edgecmp.report import Report, failures

__all__ = ["FORMAT", "BenchReport", "finished_rows", "identity"]

FORMAT = "edgecmp-bench/1"

COLUMNS = {
    "warm": ("cold_ms", "p50_ms", "p90_ms", "p99_ms", "min_ms", "peak_memory_mb"),
    "sustained": (
        *("minutes", "busy_percent", "p50_ms", "first_window_ms", "last_window_ms"),
        *("slower_percent", "start_c", "end_c"),
    ),
    "single-stream": ("queries", "seconds", "p50_ms", "p90_ms", "p99_ms"),
}
"""The figures of each mode that fit a screen; the JSON has all."""

IDENTITY = ("machine", "model", "cpu", "cores", "cpus", "compute_units")
"""Facts that must be the same, those of them that a device tells."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class BenchReport(Report):
    """Latency of each file, runtime and thread count on one device; docs/reference/bench-figures.md explains it.

    Attributes:
        rows: one dictionary each. All have file, sha256, target, precision, runtime, version,
            threads, verdict ("measured", "failed", "not run" or "cut short") and reason, and what
            was not measured is None:
            cold_ms (loading and first run), init_ms, first_ms (medians over the visits);
            p50_ms, p90_ms, p99_ms, min_ms, percentiles_ms (0th to 100th), statistic, runs, counted
            and preempted (see `edgecmp.benchmarks.bench.statistic`);
            peak_memory_mb (the process's largest, Python and numpy included) and memory_before_mb
            (before the model was loaded);
            governor, zone (of the hottest temperature), start_c and end_c (its degrees Celsius),
            compute_units (Core ML).
            Of a sustained bench also minutes, busy_percent (of the time, in runs), first_window_ms,
            last_window_ms, slower_percent (of the last against the first), window_s, curve (minute,
            p50_ms, p90_ms, runs and statistic of each window) and conditions (minute, governor,
            clocks and all temperatures).
            Of a single stream also queries and seconds.
            Compared with an earlier bench also earlier_ms and ratio (now / then) of the mode's
            figure.
        device: the device's name and facts.
        settings: the plan, see `BenchPlan`.
        profiles: of each file: file, and whole_us, kinds and operators or the reason why not.
        earlier: the file that the rows are compared with.
        complete: whether every row came to its end.
    """

    rows: list[dict[str, Any]]
    device: dict[str, Any]
    settings: dict[str, Any]
    profiles: list[dict[str, Any]] = field(default_factory=list)
    earlier: str | None = None
    complete: bool = True
    picture: Path | None = None
    provenance: dict[str, str] = field(default_factory=provenance)

    @property
    def mode(self) -> str:
        """ "warm", "sustained" or "single-stream"."""
        return str(self.settings["mode"])

    def shown_columns(self) -> tuple[str, ...]:
        """What fits a screen."""
        compared = ("earlier_ms", "ratio") if self.earlier else ()
        figures = COLUMNS[self.mode]
        return ("file", "runtime", "threads", *figures, *compared, "statistic", "verdict")

    def sentences(self) -> list[str]:
        """Why rows failed or have no ratio, and the profiles."""
        return [
            *failures(self.rows),
            *(
                f"not compared: {row['file']} in {row['runtime']}, {row['threads'] or 'own'} "
                f"threads: {row['not_compared']}"
                for row in self.rows
                if row.get("not_compared")
            ),
            *(f"\n{profile_text(profile)}" for profile in self.profiles),
        ]

    def written(self) -> dict[str, Path]:
        """The picture."""
        return {} if self.picture is None else {"the picture": self.picture}

    def to_dict(self) -> dict[str, Any]:
        """What `--json` writes."""
        return {
            "format": FORMAT,
            "complete": self.complete,
            "rows": self.rows,
            "device": self.device,
            "settings": self.settings,
            "profiles": self.profiles,
            "earlier": self.earlier,
            "provenance": self.provenance,
        }


def identity(device: dict[str, Any]) -> dict[str, Any]:
    """What makes a device the same device again: its name without options, processor and units."""
    facts = {key: device.get(key) for key in IDENTITY}
    return {"name": str(device["name"]).partition("?")[0], **facts}


def finished_rows(
    path: Path | None, cases: Sequence[Case], device: dict[str, Any], plan: BenchPlan
) -> dict[tuple[str, str, int | None], dict[str, Any]]:
    """The rows that an interrupted bench of the same device and plan has finished, by their key.

    A row that was cut short is none of them: meanwhile the device has cooled down. A complete
    bench has none either: it is measured again because the user asked for it again.
    """
    document = _interrupted_bench(path, device, plan)
    if document is None:
        return {}
    known = {case.key: case.sha256 for case in cases}
    versions = {name: fact.get("version") for name, fact in device["runtimes"].items()}
    finished = {
        key: row
        for row in document["rows"]
        if (key := (row["file"], row["runtime"], row["threads"])) in known
        and row["verdict"] == "measured"
        and row["sha256"] == known[key]
        and row["version"] == versions.get(row["runtime"])
    }
    if finished:
        count = f"{len(finished)} finished row{'s' * (len(finished) != 1)}"
        say(f"{path} holds {count} of this bench: measuring the others.")
    return finished


def _interrupted_bench(
    path: Path | None, device: dict[str, Any], plan: BenchPlan
) -> dict[str, Any] | None:
    """The document at `path` if it is an interrupted bench of the same device and plan."""
    if path is None or not path.exists():
        return None
    try:
        document = read_json(path, what="a bench")
    except UserError:
        return None
    resumable = (
        document.get("format") == FORMAT
        and not document["complete"]
        and document["settings"] == plan.to_dict()
        and identity(document["device"]) == identity(device)
    )
    return document if resumable else None
