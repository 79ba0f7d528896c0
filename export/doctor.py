"""`edgecmp doctor`: what this machine can write and run, found out by doing it.

A network of a few nodes is written for each target in each precision, opened in each runtime that
loads the format, and run. Nothing is installed: what is missing is named with the command for it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgecmp.errors import UserError
from edgecmp.export.doctor_network import DIM, SIZE, tiny_network
from edgecmp.export.metadata import Metadata
from edgecmp.export.runtimes.open import runtimes_for
from edgecmp.export.runtimes.runners import Runner, RuntimeRefusedError, RuntimeUnavailableError
from edgecmp.export.targets.registry import Job, Target, targets
from edgecmp.files import provenance
from edgecmp.networks.architecture import Architecture
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import progress

__all__ = ["DoctorReport", "doctor"]

IMAGES = 8
EXTRA = "pip install 'edgecmp[export]'"
MIN_COSINE = 0.9
"""Below it a runtime computes something else, even in the coarsest precision."""

MIN_FREE_GB = 2.0
PROGRAMS = {
    "adb": "an Android phone: install Android's platform-tools and put adb on the PATH",
    "ssh": "a board: install an OpenSSH client",
}
"""What `edgecmp bench` needs for devices other than this machine."""

PACKAGES = (
    *("edgecmp", "torch", "numpy", "faiss-cpu", "pillow", "onnx", "onnxsim"),
    *("onnxruntime", "ai-edge-litert", "tflite-runtime", "coremltools"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DoctorReport:
    """What works here.

    Attributes:
        rows: one dictionary each for target, precision and runtime: version, verdict ("works",
            "fails" or "not here"), write_s, cosine (least, to torch, over random images), and note:
            what is wrong.
        facts: of the machine, by name.
        packages: versions; None where a package is not installed.
        advice: what is missing, and the command or step that adds it.
    """

    rows: list[dict[str, Any]]
    facts: dict[str, Any]
    packages: dict[str, str | None]
    advice: list[dict[str, str]]
    provenance: dict[str, str] = field(default_factory=provenance)

    @property
    def passed(self) -> bool:
        """Whether each target and precision runs in at least one runtime, and fails in none."""
        if any(row["verdict"] == "fails" for row in self.rows):
            return False
        working = {(row["target"], row["precision"]) for row in self.rows if works(row)}
        return working == {(row["target"], row["precision"]) for row in self.rows}

    @property
    def installed(self) -> list[str]:
        """Packages with their versions, for people."""
        return [f"{name} {version or 'not installed'}" for name, version in self.packages.items()]

    def to_dict(self) -> dict[str, Any]:
        """What `--json` writes."""
        return {
            "passed": self.passed,
            "rows": self.rows,
            "facts": self.facts,
            "packages": self.packages,
            "advice": self.advice,
            "provenance": self.provenance,
        }


def works(row: dict[str, Any]) -> bool:
    """Whether a row's runtime ran the file."""
    return bool(row["verdict"] == "works")


def doctor() -> DoctorReport:
    """Tries every target, precision and runtime on this machine."""
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, SIZE, SIZE, 3), np.uint8)
    cases = [
        (target, precision) for target in targets().values() for precision in target.precisions
    ]
    rows: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory(prefix="edgecmp-doctor-") as folder,
        progress("Trying", total=len(cases), unit="precision") as bar,
    ):
        for target, precision in cases:
            rows += _try(target, precision, images, Path(folder))
            bar.advance()
    packages = {name: _version(name) for name in PACKAGES}
    facts = _facts()
    return DoctorReport(
        rows=rows, facts=facts, packages=packages, advice=_advice(rows, facts, packages)
    )


def _try(
    target: Target, precision: str, images: NDArray[np.uint8], folder: Path
) -> list[dict[str, Any]]:
    """The rows of one target in one precision."""
    path = folder / f"tiny-{precision}{target.suffix}"
    network, metadata = tiny_network(), _metadata(target, precision)
    row: dict[str, Any] = {"target": target.name, "precision": precision}
    start = time.perf_counter()
    missing = [name for name in target.packages if importlib.util.find_spec(name) is None]
    try:
        if missing:
            raise ImportError(f"needs {', '.join(missing)}, which is not installed")
        given = images if precision in target.calibrated else None
        target.write(Job(network=network, metadata=metadata, images=given), path)
    except Exception as error:  # whatever a converter raises, the others are still tried
        verdict = "not here" if isinstance(error, ImportError) else "fails"
        note = f"cannot be written: {_first_line(error)}"
        return [
            row | _found(runtime, verdict, note) | {"write_s": None, "cosine": None}
            for runtime in runtimes_for(target.name)
        ]
    row["write_s"] = round(time.perf_counter() - start, 3)
    with torch.inference_mode():
        expected = network(Preprocessing.from_dict(metadata.preprocessing).normalise(images))
    return [
        row | _run(runtime, path, metadata, images, expected.numpy())
        for runtime in runtimes_for(target.name)
    ]


def _metadata(target: Target, precision: str) -> Metadata:
    preprocessing = Preprocessing(input_size=SIZE)
    architecture = Architecture.random("100M", seed=0, embedding_dim=DIM, input_size=SIZE)
    return Metadata(
        target=target.name,
        precision=precision,
        input="tensor",
        calibration={"data": "noise", "images": IMAGES} if precision in target.calibrated else None,
        architecture=architecture.to_dict(),
        preprocessing=preprocessing.to_dict(),
        preprocessing_fingerprint=preprocessing.fingerprint,
        gallery_sha256=None,
        weights_sha256="0" * 64,
        provenance=provenance(),
    )


def _run(
    runtime: type[Runner],
    path: Path,
    metadata: Metadata,
    images: NDArray[np.uint8],
    expected: NDArray[np.float32],
) -> dict[str, Any]:
    """One runtime's part of a row."""
    try:
        embeddings = runtime(path, metadata).embed(images)
    except RuntimeUnavailableError as error:
        return _found(runtime, "not here", str(error)) | {"cosine": None}
    except (RuntimeRefusedError, UserError) as error:
        return _found(runtime, "fails", _first_line(error)) | {"cosine": None}
    if embeddings.shape != expected.shape or not np.isfinite(embeddings).all():
        note = f"gives {embeddings.shape}, not finite {expected.shape}"
        return _found(runtime, "fails", note) | {"cosine": None}
    lengths = np.linalg.norm(embeddings, axis=1)
    cosine = float(((embeddings * expected).sum(1) / np.maximum(lengths, 1e-9)).min())
    if cosine < MIN_COSINE:
        note = f"computes something else: cosine {cosine:.4f} to torch"
        return _found(runtime, "fails", note) | {"cosine": cosine}
    return _found(runtime, "works", "") | {"cosine": cosine}


def _found(runtime: type[Runner], verdict: str, note: str) -> dict[str, Any]:
    return {
        "runtime": runtime.name,
        "version": _version(runtime.package),
        "verdict": verdict,
        "note": note,
    }


def _facts() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "torch threads": torch.get_num_threads(),
        "free disk here": f"{_free_gb():.1f} GB",
        **{name: shutil.which(name) or "not found" for name in PROGRAMS},
    }


def _free_gb() -> float:
    return shutil.disk_usage(Path.cwd()).free / 1e9


def _advice(
    rows: list[dict[str, Any]], facts: dict[str, Any], packages: dict[str, str | None]
) -> list[dict[str, str]]:
    """What to do about each thing that is missing, once each."""
    advice: dict[str, str] = {}
    if int(np.__version__.partition(".")[0]) >= 2:
        advice[f"numpy {np.__version__}: tflite-runtime 2.14 needs numpy < 2"] = (
            "pip install 'numpy<2'"
        )
    for row in rows:
        if row["verdict"] != "not here":
            continue
        what = f"{row['runtime']} ({row['target']} files): {row['note']}"
        advice.setdefault(what, _way_out(row))
    for name, use in PROGRAMS.items():
        if facts[name] == "not found":
            advice[f"{name}: not found"] = f"only for {use}"
    if _free_gb() < MIN_FREE_GB:
        advice[f"{facts['free disk here']} of free disk"] = "free some space before a training"
    return [{"missing": what, "add": how} for what, how in advice.items()]


def _way_out(row: dict[str, Any]) -> str:
    if "macOS" in row["note"]:
        return "run `edgecmp doctor` and `edgecmp parity` on a Mac too; nothing can be added here"
    if "numpy" in row["note"]:
        return "pip install 'numpy<2'"
    if row["runtime"] == "tflite-runtime" and (
        sys.platform != "linux" or sys.version_info >= (3, 12)
    ):
        return "nothing: it has wheels for Linux up to Python 3.11 alone; LiteRT loads its files"
    return EXTRA


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
