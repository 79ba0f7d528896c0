"""BenchReport: the results of a bench, and the finished rows of an interrupted one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgecmp.benchmarks.bench.case import Case
from edgecmp.benchmarks.bench.document import FORMAT, read_bench
from edgecmp.benchmarks.bench.plan import BenchPlan
from edgecmp.benchmarks.bench.profile_text import profile_text
from edgecmp.benchmarks.devices.on_device.runner import times
from edgecmp.errors import UserError
from edgecmp.files import provenance
from edgecmp.progress import say
from edgecmp.report import Report, failures

__all__ = ["BenchReport", "finished_rows", "identity"]

COLUMNS = {
    "warm": ("cold_ms", "p50_ms", "p90_ms", "p99_ms", "min_ms", "peak_memory_mb"),
    "sustained": (
        *("minutes", "busy_percent", "p50_ms", "first_window_ms", "last_window_ms"),
        *("slower_percent", "start_c", "end_c"),
    ),
    "single-stream": ("queries", "seconds", "p50_ms", "p90_ms", "p99_ms"),
}
"""The figures of each mode that fit on a screen; the JSON document contains all of them."""

IDENTITY = ("machine", "model", "cpu", "cores", "cpus", "compute_units")
"""Facts by which a device is recognised, as far as it reports them."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class BenchReport(Report):
    """Latency of each file, runtime and thread count on one device.

    docs/reference/bench-figures.md explains every figure.

    Attributes:
        rows: one dictionary per file, runtime and thread count. All rows have file, sha256, target,
            precision, runtime, version, threads, verdict ("measured", "failed", "not run" or "cut
            short") and reason, and these figures, which are None if they were not measured:
            input_shape (of one call, such as "1x3x64x64") and images_per_call (more than 1 if the
            file fixes its batch: all times are per call);
            cold_ms (loading and first run), init_ms, first_ms (medians over the visits);
            p50_ms, p90_ms, p99_ms, min_ms, percentiles_ms (0th to 100th), statistic, runs, counted
            and preempted (see `edgecmp.benchmarks.bench.statistic`);
            peak_memory_mb (peak of the process, Python and numpy included) and memory_before_mb
            (before the model was loaded);
            governor, zone (the hottest one), start_c and end_c (its temperature in degrees
            Celsius), compute_units (Core ML).
            In a sustained bench also minutes, busy_percent (share of the time that was spent in
            runs), first_window_ms, last_window_ms, slower_percent (last window against first),
            window_s, curve (minute, p50_ms, p90_ms, runs and statistic of each window) and
            conditions (minute, governor, clocks and all temperatures).
            In a single stream also queries and seconds.
            If compared with an earlier bench also earlier_ms and ratio (now / then) of the main
            figure of the mode.
        device: name and facts of the device.
        settings: the plan, see `BenchPlan`.
        profiles: per file: file, and whole_us and operators, or the reason why there are none.
        earlier: the file that the rows are compared with.
        complete: whether every row was finished.
        picture: the file of the picture, if one was drawn.
        not_drawn: why a picture was not drawn that was asked for, or None.
        provenance: the versions and the command that made the report.
    """

    rows: list[dict[str, Any]]
    device: dict[str, Any]
    settings: dict[str, Any]
    profiles: list[dict[str, Any]] = field(default_factory=list)
    earlier: str | None = None
    complete: bool = True
    picture: Path | None = None
    not_drawn: UserError | None = None
    provenance: dict[str, str] = field(default_factory=provenance)

    @property
    def mode(self) -> str:
        """ "warm", "sustained" or "single-stream"."""
        return str(self.settings["mode"])

    def shown_columns(self) -> tuple[str, ...]:
        """The columns that fit on a screen."""
        compared = ("earlier_ms", "ratio") if self.earlier else ()
        figures = COLUMNS[self.mode]
        facts = ("file", "runtime", "threads", "input_shape")
        return (*facts, *figures, *compared, "statistic", "verdict")

    def sentences(self) -> list[str]:
        """Why rows failed or have no ratio, calls of several images, and the profiles."""
        batches = {
            row["file"]: row["images_per_call"]
            for row in self.rows
            if (row["images_per_call"] or 1) > 1
        }
        return [
            *failures(self.rows),
            *(
                f"{file} computes {count} images per call: its times are per call, not per image."
                for file, count in batches.items()
            ),
            *(
                f"not compared: {row['file']} in {row['runtime']}, {row['threads'] or 'its own'} "
                f"threads: {row['not_compared']}"
                for row in self.rows
                if row.get("not_compared")
            ),
            *(f"\n{profile_text(profile)}" for profile in self.profiles),
            *([f"No picture: {self.not_drawn}"] if self.not_drawn else []),
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
    """What a device is recognised by: its name without options, processor and compute units."""
    facts = {key: device.get(key) for key in IDENTITY}
    return {"name": str(device["name"]).partition("?")[0], **facts}


def finished_rows(
    path: Path | None, cases: Sequence[Case], device: dict[str, Any], plan: BenchPlan
) -> dict[tuple[str, str, int | None], dict[str, Any]]:
    """The finished rows of an interrupted bench of the same device and plan, by their key.

    A row that was cut short is measured again, since the device has cooled down in the meantime. A
    complete bench is measured again as a whole.
    """
    document = _interrupted_bench(path, device, plan)
    if document is None:
        return {}
    known = {case.key: case.sha256 for case in cases}
    sizes = {case.key: case.input_size for case in cases}
    versions = {name: fact.get("version") for name, fact in device["runtimes"].items()}
    finished = {
        key: row
        for row in document["rows"]
        if (key := (row["file"], row["runtime"], row["threads"])) in known
        and row["verdict"] == "measured"
        and row["sha256"] == known[key]
        and row["version"] == versions.get(row["runtime"])
        and _of_size(row, sizes[key])
    }
    if finished:
        count = f"{len(finished)} finished row{'s' * (len(finished) != 1)}"
        say(f"{path} contains {count} of this bench: measuring the others.")
    return finished


def _of_size(row: dict[str, Any], size: tuple[int, int] | None) -> bool:
    """Whether a row was measured with images of that size."""
    return size is None or f"x{times(size)}" in str(row["input_shape"])


def _interrupted_bench(
    path: Path | None, device: dict[str, Any], plan: BenchPlan
) -> dict[str, Any] | None:
    """The document at `path` if it is an interrupted bench of the same device and plan."""
    if path is None or not path.exists():
        return None
    try:
        document = read_bench(path)
    except UserError:
        return None
    resumable = (
        not document["complete"]
        and document["settings"] == plan.to_dict()
        and identity(document["device"]) == identity(device)
    )
    return document if resumable else None
