"""What a bench measures: each file in each runtime that loads it, with each thread count."""

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
"""The suffix of the files that each runtime loads."""

DOCUMENT_START = re.compile(rb'\{\s*"(?:architecture|format)":')

Verdict = Literal["measured", "failed", "not run", "cut short"]


@dataclass(kw_only=True, slots=True)
class Case:
    """One row of a bench while it is measured.

    A visit is one series of runs in a separate process.

    Attributes:
        file: the model file.
        sha256: of its bytes; for a package, of the names and bytes of all its files.
        target: "tflite", "onnx" or "coreml".
        precision: as stated in the file's metadata; None if edgecmp did not write the file.
        runtime: its name.
        threads: number of threads of the runtime; None if the runtime chooses, as Core ML does.
        verdict: "cut short" means that a long measurement is not finished.
        reason: why there is no measurement.
        timed_out: whether it failed because a visit took too long, which says nothing about the
            file.
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
        """What identifies the row within its bench."""
        return str(self.file), self.runtime, self.threads


def require_model_file(path: Path) -> Path:
    """Returns the path if it is a model file.

    Raises:
        UserError: the file is missing or of an unknown kind.
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
    """One case per file, thread count and runtime, including runtimes that the device lacks.

    Args:
        paths: existing model files.
        threads: thread counts.
        facts: facts of the device; "runtimes" has a version or a reason for each runtime.
        device: name of the device, for the reasons.
        runtime: the only runtime to use; all if None.

    Raises:
        UserError: the runtime is unknown, it loads none of the files, or the device has no runtime
            for any of them.
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
            f"{runtime} loads only {LOADS[str(runtime)]} files, and none was given.",
            f"Name a {LOADS[str(runtime)]} file, or leave out --runtime {runtime}.",
        )
    _require_runtime(cases, device)
    return cases


def _require_runtime(cases: Sequence[Case], device: str) -> None:
    """Refuses a device that has no runtime for any of the files.

    Core ML packages alone are accepted: the reason in their rows says what they need.
    """
    missing = dict.fromkeys(
        f"{case.runtime}: {case.reason}" for case in cases if case.target != "coreml"
    )
    if missing and all(case.verdict == "not run" for case in cases):
        raise UserError(
            f"{device.partition('?')[0]} has no runtime for these files ({'; '.join(missing)}).",
            "Install one there, such as tflite-runtime, or name a Python with one: ?python=PATH; "
            "a phone without Python needs ?benchmark_model=PATH (see docs/how-to/android.md).",
        )


def _runtimes(suffix: str, found: Mapping[str, Mapping[str, str]], device: str) -> dict[str, str]:
    """The runtimes for files with this suffix, each with the reason why it is missing, or ""."""
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
    """The precision in a file's metadata, which every format stores as plain JSON."""
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
