"""`edgecmp bench`: how long a model takes on a device, measured so that a busy machine cannot lie.

Each visit runs in a process of its own and times a share of the runs; the visits go round over all
files, runtimes and thread counts, so that drift (heat, other load) hits all alike.

The statistic: percentiles of wall time over the runs during which the process was not preempted
(its count of involuntary context switches stayed the same), as long as at least `MINIMUM_CLEAN`
runs and a fifth of all are left; otherwise over all runs, and the row says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgecmp.benchmarks.devices import Device, DeviceRunError, open_device
from edgecmp.benchmarks.runner import RUNTIMES
from edgecmp.benchmarks.statistic import summary_statistic
from edgecmp.errors import UserError, unknown_choice
from edgecmp.files import provenance
from edgecmp.progress import progress, say

__all__ = ["BenchReport", "bench"]

TARGETS = {".tflite": "tflite", ".onnx": "onnx", ".mlpackage": "coreml"}
MINIMUM_CLEAN = 10
"""Fewest runs without preemption that a percentile is taken over."""

MINIMUM_CLEAN_SHARE = 0.2
DOCUMENT_START = re.compile(rb'\{\s*"(?:architecture|format)":')


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchReport:
    """Latency of each file, runtime and thread count on one device.

    Attributes:
        rows: one dictionary each: file, target, precision, runtime, version, threads; p50_ms,
            p90_ms, min_ms (wall time of one run, see the module's text), first_ms and
            init_ms (cold first run and loading, medians over the visits), peak_memory_mb (of the
            whole process, Python and numpy included), memory_before_mb (before the model was
            loaded), runs, preempted (runs with a context switch), statistic ("not preempted", "all
            runs" or "the device's summary"), verdict ("measured", "failed" or "not run") and
            reason. What was not measured is None.
        device: the device's facts.
        settings: runs, rounds and seed.
    """

    rows: list[dict[str, Any]]
    device: dict[str, Any]
    settings: dict[str, Any]
    provenance: dict[str, str] = field(default_factory=provenance)

    def to_dict(self) -> dict[str, Any]:
        """What `--json` writes."""
        return {
            "rows": self.rows,
            "device": self.device,
            "settings": self.settings,
            "provenance": self.provenance,
        }


@dataclass(kw_only=True, slots=True)
class _Case:
    """One row in the making: what is measured, and what the visits brought."""

    file: Path
    target: str
    precision: str | None
    runtime: str
    threads: int
    reason: str = ""
    verdict: str = "measured"
    visits: list[dict[str, Any]] = field(default_factory=list)


def bench(
    files: Sequence[str | Path],
    *,
    device: str = "local",
    threads: Sequence[int] = (1,),
    runs: int = 100,
    rounds: int = 4,
    seed: int = 0,
) -> BenchReport:
    """Times model files on a device, in every runtime there that loads them.

    Args:
        files: .tflite, .onnx or .mlpackage files.
        device: name of the device; "local" is this machine.
        threads: thread counts to measure, each for itself.
        runs: timed runs of each row, shared out over the rounds.
        rounds: visits of each row, each in a fresh process.
        seed: of the random input.

    Raises:
        UserError: a file is missing, of no known kind or runs nowhere, or there is no such device.
    """
    if not files or runs < rounds or rounds < 1 or not threads or min(threads) < 1:
        raise UserError(
            "A bench needs at least one file, one thread, and one run in each of its rounds.",
            f"Name the files and use a --runs of at least {max(rounds, 1)}.",
        )
    paths = [_existing(Path(file)) for file in files]
    with open_device(device) as machine:
        facts = machine.facts
        cases = [
            case
            for path in paths
            for count in threads
            for case in _cases(path, count, facts["runtimes"])
        ]
        active = [case for case in cases if case.verdict == "measured"]
        _refuse_without_runtime(cases, machine.name)
        say(
            f"Timing {len(active)} combinations of file, runtime and threads on {machine.name}: "
            f"{rounds} rounds of {runs // rounds} runs."
        )
        with progress("Timing", total=rounds * len(active), unit="visit") as bar:
            for visit in range(rounds):
                for case in active:
                    if case.verdict == "measured":
                        _visit(case, machine, runs=runs // rounds, seed=seed + visit)
                    bar.advance(1)
                if visit == 0:
                    _refuse_what_nothing_runs(cases)
    return BenchReport(
        rows=[_row(case) for case in cases],
        device={"name": device, **facts},
        settings={"runs": runs, "rounds": rounds, "seed": seed},
    )


def _existing(path: Path) -> Path:
    if not path.exists():
        raise UserError(f"{path} does not exist.", "Write it with `edgecmp export`.")
    if path.suffix not in TARGETS:
        raise unknown_choice("kind of model file", path.name, TARGETS)
    return path


def _cases(path: Path, threads: int, runtimes: Mapping[str, Mapping[str, str]]) -> list[_Case]:
    """One case for each runtime that loads such a file, those that are missing included."""
    target, precision = TARGETS[path.suffix], _precision(path)
    if target == "coreml":
        names = {"coreml": "needs macOS"}
    else:
        suffixes = {name: suffix for name, (suffix, _, _) in RUNTIMES.items()}
        names = {
            name: found.get("reason", "")
            for name, found in runtimes.items()
            if suffixes.get(name, ".tflite") == path.suffix  # others are benchmark_model
        }
    return [
        _Case(
            file=path,
            target=target,
            precision=precision,
            runtime=name,
            threads=threads,
            reason=reason,
            verdict="not run" if reason else "measured",
        )
        for name, reason in names.items()
    ]


def _precision(path: Path) -> str | None:
    """The precision a file's metadata names; every format stores that document as plain JSON."""
    model = path / "Data" / "com.apple.CoreML" / "model.mlmodel" if path.is_dir() else path
    data = model.read_bytes() if model.exists() else b""
    for match in DOCUMENT_START.finditer(data):
        try:
            text = data[match.start() :].decode(errors="ignore")
            document, _ = json.JSONDecoder().raw_decode(text)
        except ValueError:
            continue
        if str(document.get("format", "")).startswith("edgecmp-export/"):
            return str(document.get("precision"))
    return None


def _visit(case: _Case, machine: Device, *, runs: int, seed: int) -> None:
    """Times one share of a case's runs; a failure ends the case with its reason."""
    try:
        case.visits.append(
            machine.time_model(
                case.file, runtime=case.runtime, threads=case.threads, runs=runs, seed=seed
            )
        )
    except DeviceRunError as error:
        case.verdict, case.reason = "failed", str(error)


def _refuse_without_runtime(cases: Sequence[_Case], device: str) -> None:
    """Before the first visit: a device on which nothing runs any of the files."""
    missing = dict.fromkeys(
        f"{case.runtime}: {case.reason}" for case in cases if case.target != "coreml"
    )
    if missing and all(case.verdict == "not run" for case in cases):
        raise UserError(
            f"{device} has no runtime for these files ({'; '.join(missing)}).",
            "Install one there, such as tflite-runtime, or name a Python that has it: "
            "?python=PATH; an Android phone without Python is timed by ?benchmark_model=PATH.",
        )


def _refuse_what_nothing_runs(cases: Sequence[_Case]) -> None:
    """After the first visits: a file that failed wherever it was run is truncated or damaged."""
    for path in dict.fromkeys(case.file for case in cases):
        tried = [case for case in cases if case.file == path and case.verdict != "not run"]
        if tried and all(case.verdict == "failed" for case in tried):
            reasons = dict.fromkeys(f"{case.runtime}: {case.reason}" for case in tried)
            raise UserError(
                f"{path} is truncated or damaged: nothing runs it ({'; '.join(reasons)}).",
                "Copy it again, or write it again with `edgecmp export`.",
            )


def _row(case: _Case) -> dict[str, Any]:
    measured = case.verdict == "measured"
    return {
        "file": str(case.file),
        "target": case.target,
        "precision": case.precision,
        "runtime": case.runtime,
        "version": case.visits[0]["version"] if measured else None,
        "threads": case.threads,
        **(_statistics(case.visits) if measured else dict.fromkeys(STATISTICS)),
        "verdict": case.verdict,
        "reason": case.reason,
    }


STATISTICS = (
    "p50_ms",
    "p90_ms",
    "min_ms",
    "first_ms",
    "init_ms",
    "peak_memory_mb",
    "memory_before_mb",
    "runs",
    "preempted",
    "statistic",
)


def _statistics(visits: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of one row; see the module's text for the runs that count."""
    if "summary" in visits[0]:
        return _summarised(visits)
    wall_ms = np.concatenate([visit["wall_us"] for visit in visits]) / 1000
    switches = np.concatenate([visit["switches"] for visit in visits])
    clean = wall_ms[switches == 0]
    enough = len(clean) >= max(MINIMUM_CLEAN, MINIMUM_CLEAN_SHARE * len(wall_ms))
    counted = clean if enough else wall_ms

    def median(key: str) -> float:
        return float(np.median([visit[key] for visit in visits]))

    values = (
        float(np.percentile(counted, 50)),
        float(np.percentile(counted, 90)),
        float(counted.min()),
        median("first_us") / 1000,
        median("init_us") / 1000,
        max(visit["peak_memory_kb"] for visit in visits) / 1024,
        median("memory_before_kb") / 1024,
        len(wall_ms),
        int((switches > 0).sum()),
        "not preempted" if enough else "all runs",
    )
    return dict(zip(STATISTICS, values, strict=True))


def _summarised(visits: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of one row where the device tells no single runs; None is not known."""
    found = summary_statistic([visit["summary"] for visit in visits])

    def middle(key: str, divisor: float) -> float | None:
        values = [visit[key] for visit in visits]
        return None if None in values else float(np.median(values)) / divisor

    return dict.fromkeys(STATISTICS) | {
        "p50_ms": found.p50_us / 1000,
        "p90_ms": None if found.p90_us is None else found.p90_us / 1000,
        "min_ms": found.min_us / 1000,
        "first_ms": middle("first_us", 1000),
        "init_ms": middle("init_us", 1000),
        "peak_memory_mb": middle("peak_memory_kb", 1024),
        "runs": found.runs,
        "statistic": found.name,
    }
