"""What a bench measures: each file in each runtime that loads it, with each number of threads."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgecmp.benchmarks.devices.on_device.runner import RUNTIMES
from edgecmp.errors import UserError, unknown_choice

__all__ = ["Case", "Verdict", "all_cases", "require_model_file"]

TARGETS = {".tflite": "tflite", ".onnx": "onnx", ".mlpackage": "coreml"}
LOADS = {name: suffix for name, (suffix, _, _) in RUNTIMES.items()} | {
    "benchmark_model": ".tflite",
    "coreml": ".mlpackage",
}
"""The kind of file that each runtime loads."""

DOCUMENT_START = re.compile(rb'\{\s*"(?:architecture|format)":')

Verdict = Literal["measured", "failed", "not run", "cut short"]


@dataclass(kw_only=True, slots=True)
class Case:
    """One row in the making: what is measured, and what the visits brought.

    Attributes:
        file: the model.
        sha256: of its bytes; of a package of the names and bytes of all its files.
        target: "tflite", "onnx" or "coreml".
        precision: as the file's metadata says; None: not ours.
        runtime: its name.
        threads: of the runtime; None: it chooses them itself, as Core ML does.
        verdict: "cut short" says that a long measurement is not over.
        reason: why there is no measurement.
        timed_out: it failed because a visit took too long, which says nothing of the file.
        visits: the documents of the device's runner, with "from_s" and "to_s" on this machine.
    """

    file: Path
    sha256: str
    target: str
    precision: str | None
    runtime: str
    threads: int | None
    verdict: Verdict = "measured"
    reason: str = ""
    timed_out: bool = False
    visits: list[dict[str, Any]] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str, int | None]:
        """What tells it from the other rows of a bench."""
        return str(self.file), self.runtime, self.threads


def require_model_file(path: Path) -> Path:
    """The path itself, if a model file is there.

    Raises:
        UserError: it is missing or of no known kind.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist.", "Write it with `edgecmp export`.")
    if path.suffix not in TARGETS:
        raise unknown_choice("kind of model file", path.name, TARGETS)
    return path


def all_cases(
    paths: Sequence[Path],
    threads: Sequence[int],
    facts: Mapping[str, Any],
    *,
    device: str,
    runtime: str | None = None,
) -> list[Case]:
    """One case for each file, number of threads and runtime, those that are missing included.

    Args:
        paths: model files that are there.
        threads: thread counts.
        facts: of the device; "runtimes" has a version or a reason for each.
        device: its name, for reasons.
        runtime: the only one that is asked for; None: all.

    Raises:
        UserError: there is no such runtime, it loads none of the files, or the device has no
            runtime for any of them.
    """
    if runtime is not None and runtime not in LOADS:
        raise unknown_choice("runtime", runtime, LOADS)
    cases = [
        Case(
            file=path,
            sha256=_digest(path),
            target=TARGETS[path.suffix],
            precision=_precision(path),
            runtime=name,
            threads=count,
            verdict="not run" if reason else "measured",
            reason=reason,
        )
        for path in paths
        for count in (threads if path.suffix != ".mlpackage" else (None,))
        for name, reason in _runtimes(path.suffix, facts["runtimes"], device).items()
        if runtime in (None, name)
    ]
    if not cases:
        raise UserError(
            f"{runtime} loads {LOADS[str(runtime)]} files, and there is none among the files.",
            f"Name such a file, or leave out --runtime {runtime}.",
        )
    _require_runtime(cases, device)
    return cases


def _require_runtime(cases: Sequence[Case], device: str) -> None:
    """Refuses a device that has no runtime for any of the files.

    Files for Core ML alone are no mistake: each is a row that says what they need.
    """
    missing = dict.fromkeys(
        f"{case.runtime}: {case.reason}" for case in cases if case.target != "coreml"
    )
    if missing and all(case.verdict == "not run" for case in cases):
        raise UserError(
            f"{device.partition('?')[0]} has no runtime for these files ({'; '.join(missing)}).",
            "Install one there, such as tflite-runtime, or name a Python with it: ?python=PATH; a "
            "phone without Python is timed by ?benchmark_model=PATH (docs/how-to/android.md).",
        )


def _runtimes(suffix: str, found: Mapping[str, Mapping[str, str]], device: str) -> dict[str, str]:
    """The runtimes that load such a file, each with the reason why it cannot, or ""."""
    names = [name for name, loads in LOADS.items() if loads == suffix]
    known = {name: found[name].get("reason", "") for name in names if name in found}
    if known:
        return known
    reason = f"{device.partition('?')[0]} has no runtime for {suffix} files"
    return {names[0]: "needs macOS: --device coreml:local" if suffix == ".mlpackage" else reason}


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            digest.update(f"{file.relative_to(path)}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


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
