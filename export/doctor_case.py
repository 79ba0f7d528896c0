"""One target in one precision, written and run in each of its runtimes on this machine."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgecmp.errors import UserError
from edgecmp.export.doctor_advice import NOT_WRITTEN
from edgecmp.export.doctor_network import DIM, SIZE, probe_network
from edgecmp.export.formats.registry import Job, Target
from edgecmp.export.metadata import Metadata
from edgecmp.export.runtimes.open import runtimes_for
from edgecmp.export.runtimes.openers import (
    RuntimeRefusedError,
    RuntimeUnavailableError,
    first_line,
)
from edgecmp.export.runtimes.runner import Runner
from edgecmp.files import provenance
from edgecmp.networks.architecture import Architecture
from edgecmp.preprocessing import Preprocessing

__all__ = ["installed_version", "random_images", "try_target"]

IMAGES = 8
MIN_COSINE = 0.9
"""Embeddings further from torch's are wrong, even in the coarsest precision."""


def random_images() -> NDArray[np.uint8]:
    """The images (N, S, S, 3) that every case runs on."""
    return np.random.default_rng(0).integers(0, 256, (IMAGES, SIZE, SIZE, 3), np.uint8)


def installed_version(package: str) -> str | None:
    """Version of a package; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def try_target(
    target: Target, precision: str, images: NDArray[np.uint8], folder: Path
) -> list[dict[str, Any]]:
    """Writes a small network and runs it: one row per runtime, see `DoctorReport.rows`.

    Args:
        target: the file format.
        precision: one of the target's.
        images: from `random_images`.
        folder: for the file.
    """
    path = folder / f"probe-{precision}{target.suffix}"
    network, metadata = probe_network(), _metadata(target, precision)
    row: dict[str, Any] = {"target": target.name, "precision": precision}
    calibration = images if precision in target.calibrated else None
    start = time.perf_counter()
    try:
        _write(target, Job(network=network, metadata=metadata, images=calibration), path)
    except Exception as error:  # whatever a converter raises, the other targets are still tried
        verdict = "not here" if isinstance(error, ImportError) else "fails"
        note = f"{NOT_WRITTEN}: {first_line(error).replace(f'{folder}/', '')}"
        return [
            row | _outcome(runtime, verdict, note) | {"write_s": None, "cosine": None}
            for runtime in runtimes_for(target.name)
        ]
    row["write_s"] = round(time.perf_counter() - start, 3)
    with torch.inference_mode():
        expected = network(metadata.build_preprocessing().normalise(images)).numpy()
    return [
        row | _run(runtime, path, metadata, images, expected)
        for runtime in runtimes_for(target.name)
    ]


def _write(target: Target, job: Job, path: Path) -> None:
    if target.missing:
        raise ImportError(f"needs {', '.join(target.missing)}, which is not installed")
    with contextlib.redirect_stderr(io.StringIO()):  # what writers say of networks of the user
        target.write(job, path)


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
    """The columns of one runtime, `cosine` among them."""
    try:
        embeddings = runtime(path, metadata).embed(images)
    except RuntimeUnavailableError as error:
        return _outcome(runtime, "not here", str(error)) | {"cosine": None}
    except (RuntimeRefusedError, UserError) as error:
        note = first_line(error).replace(f"{path.parent}/", "")
        return _outcome(runtime, "fails", note) | {"cosine": None}
    if embeddings.shape != expected.shape or not np.isfinite(embeddings).all():
        note = f"its output has the shape {embeddings.shape}, not {expected.shape} of finite values"
        return _outcome(runtime, "fails", note) | {"cosine": None}
    lengths = np.linalg.norm(embeddings, axis=1)
    cosine = float(((embeddings * expected).sum(1) / np.maximum(lengths, 1e-9)).min())
    if cosine < MIN_COSINE:
        note = f"computes other embeddings than torch: least cosine {cosine:.4f}"
        return _outcome(runtime, "fails", note) | {"cosine": cosine}
    return _outcome(runtime, "works", "") | {"cosine": cosine}


def _outcome(runtime: type[Runner], verdict: str, note: str) -> dict[str, Any]:
    return {
        "runtime": runtime.name,
        "version": installed_version(runtime.package),
        "verdict": verdict,
        "note": note,
    }
