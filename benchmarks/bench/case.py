"""What a bench measures: each file in each runtime that loads it, with each thread count."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgecmp.benchmarks.bench.stated import stated
from edgecmp.benchmarks.devices.on_device.runner import RUNTIMES
from edgecmp.errors import UserError, system_reason, unknown_choice
from edgecmp.files import read_bytes
from edgecmp.integrity import verify

__all__ = ["CHANGED", "Case", "Verdict", "all_cases", "require_model_file"]

TARGETS = {".tflite": "tflite", ".onnx": "onnx", ".mlpackage": "coreml"}
LOADS = {name: suffix for name, (suffix, _, _) in RUNTIMES.items()} | {
    "benchmark_model": ".tflite",
    "coreml": ".mlpackage",
}
"""The suffix of the files that each runtime loads."""

COREML_MODEL = Path("Data", "com.apple.CoreML", "model.mlmodel")
"""The model in a package."""

CHANGED = "it was changed since it was written"
"""The reason for an exported file whose bytes are not those that were written."""

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
        input_size: height and width of the images, for a file that does not fix them; None if
            nothing states them.
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
    input_size: tuple[int, int] | None = None
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
        UserError: the file is missing, cannot be read or is of an unknown kind.
    """
    try:
        path.stat()
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist.", "Write it with `edgecmp export`.") from error
    except (OSError, ValueError) as error:
        reason = system_reason(error) if isinstance(error, OSError) else str(error)
        raise UserError(f"{path} cannot be read: {reason}.", "Check the path.") from error
    if path.suffix not in TARGETS:
        raise unknown_choice("kind of model file", path.name, TARGETS)
    package = TARGETS[path.suffix] == "coreml"
    if not (path.is_dir() if package else path.is_file()):
        kind = "a folder, as Core ML packages are" if package else "a file"
        raise UserError(f"{path} is not {kind}.", "Write it again with `edgecmp export`.")
    return path


def all_cases(
    paths: Sequence[Path],
    threads: Sequence[int],
    facts: Mapping[str, Any],
    *,
    device: str,
    runtime: str | None = None,
    input_size: tuple[int, int] | None = None,
) -> list[Case]:
    """One case per file, thread count and runtime, including runtimes that the device lacks.

    A file that edgecmp exported and that was changed since then has failed already.

    Args:
        paths: existing model files.
        threads: thread counts.
        facts: facts of the device; "runtimes" has a version or a reason for each runtime.
        device: name of the device, for the reasons.
        runtime: the only runtime to use; all if None.
        input_size: height and width of the images that the user demands; what the files state if
            None.

    Raises:
        UserError: a file cannot be read, the runtime is unknown, it loads none of the files, or
            the device has no runtime for any of them.
    """
    if runtime is not None and runtime not in LOADS:
        raise unknown_choice("runtime", runtime, LOADS)
    cases: list[Case] = []
    for path in paths:
        sha256, content = _content(path)
        known, fault = stated(path, content), _fault(path)
        cases += [
            Case(
                file=path,
                sha256=sha256,
                target=TARGETS[path.suffix],
                precision=known.precision,
                runtime=name,
                threads=count,
                input_size=input_size or known.input_size,
                verdict="not run" if reason else "failed" if fault else "measured",
                reason=reason or fault,
            )
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


def _content(path: Path) -> tuple[str, bytes]:
    """SHA-256 of a file, or of the names and bytes of a package, and the bytes of the model.

    Raises:
        UserError: it cannot be read.
    """
    if path.is_file():
        content = read_bytes(path, what="a model")
        return hashlib.sha256(content).hexdigest(), content
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(path)}\n".encode(errors="surrogateescape"))
        digest.update(read_bytes(file, what="a part of a model package"))
    model = path / COREML_MODEL
    return digest.hexdigest(), read_bytes(model, what="a model") if model.is_file() else b""


def _fault(path: Path) -> str:
    """Why an exported file is not what was written; empty if nothing is known against it."""
    try:
        verify(path)
    except UserError as error:
        return error.what.replace(f"{path} was", "it was", 1).rstrip(".")
    return ""
