"""ParityCase: one exported file in one runtime, checked to match the network and the index."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError, unknown_choice
from edgecmp.export.metadata import Metadata
from edgecmp.export.parity.verdict import BOUNDS
from edgecmp.export.runtimes.external_onnx import ExternalOnnxRunner
from edgecmp.export.runtimes.open import UnusableRuntime, read_metadata, try_runtimes
from edgecmp.export.runtimes.openers import RuntimeRefusedError
from edgecmp.export.runtimes.remote import Machine, try_remote_runtimes
from edgecmp.export.runtimes.runner import Runner
from edgecmp.gallery.index import GalleryIndex
from edgecmp.gallery.open import open_described
from edgecmp.networks.embed import Embedder
from edgecmp.preprocessing import Preprocessing

__all__ = ["ParityCase", "open_cases"]

TIMED_RUNS = 15
TIMED_BATCH = 64
"""Largest batch that the time per image is measured with."""

UNKNOWN_ORIGIN = "not exported by edgecmp: hashes cannot show that both are the same network"


@dataclass(kw_only=True, slots=True)
class ParityCase:
    """One file in one runtime.

    Attributes:
        path: of the file.
        metadata: of the file.
        runtime: its name.
        runner: the opened file; None if it cannot be run, or no longer.
        verdict: "pass", "fail" or "not run".
        fault: why it cannot be run.
        note: for the reason column of a file that passes.
        latency_ms: median latency of one image in this process.
    """

    path: Path
    metadata: Metadata
    runtime: str
    runner: Runner | None = None
    verdict: str = "pass"
    fault: str = ""
    note: str = ""
    latency_ms: float | None = None

    @property
    def label(self) -> str:
        """Target, precision, input if it is not "tensor", and runtime, for a picture."""
        kind = "" if self.metadata.input == "tensor" else f" {self.metadata.input}"
        return f"{self.metadata.target} {self.metadata.precision}{kind}, {self.runtime}"

    def embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Embeds prepared images (n, S, S, 3): (n, D); None if the file cannot be run."""
        if self.runner is None:
            return None
        try:
            return self.runner.embed(pixels)
        except RuntimeRefusedError as error:
            self.runner, self.verdict = None, "fail"
            self.fault = f"the runtime cannot run the file: {error}"
            return None

    def measure(self, shape: tuple[int, int, int]) -> float:
        """Seconds per image of a warm batch of blank images; sets `latency_ms` as well.

        The latency is the median of single images in this process; `edgecmp bench` measures it
        more accurately.

        Args:
            shape: (H, W, 3) of the images.
        """
        if self.runner is None:
            return 0.0
        batch = min(self.runner.batch_size, TIMED_BATCH)
        blank = np.zeros((batch, *shape), np.uint8)
        try:
            elapsed = _timed(self.runner, blank)
            if self.runner.measures_latency:
                runs = [_timed(self.runner, blank[:1]) for _ in range(TIMED_RUNS)]
                self.latency_ms = 1000 * float(np.median(runs))
        except RuntimeRefusedError:
            return 0.0  # reported when the file embeds the first images
        return elapsed / batch


def _timed(runner: Runner, pixels: NDArray[np.uint8]) -> float:
    """Seconds of one warm call."""
    images = runner.to_input(pixels)
    runner.run(images)
    start = time.perf_counter()
    runner.run(images)
    return time.perf_counter() - start


def open_cases(
    path: Path, query: Embedder, gallery: GalleryIndex, machine: Machine | None = None
) -> list[ParityCase]:
    """The cases of one file, after it was checked to match the network and the index.

    Args:
        path: of the file, or of the description (.toml) of an external one.
        query: the trained network.
        gallery: the server's index.
        machine: a remote machine whose runtimes are used too.

    Raises:
        UserError: the file is damaged, or does not match the network or the index.
    """
    description = path.with_suffix(".toml")
    if path.suffix == ".toml" or (path.suffix == ".onnx" and description.exists()):
        return [_external_case(description, query, gallery)]
    metadata = read_metadata(path)
    _check_origin(path, metadata, query, gallery)
    runners, unusable = try_runtimes(path, metadata)
    if machine is not None:
        remote_runners, remote_unusable = try_remote_runtimes(machine, path, metadata)
        runners, unusable = runners + remote_runners, unusable + remote_unusable
    note = UNKNOWN_ORIGIN if query.external else ""
    cases = [
        ParityCase(path=path, metadata=metadata, runtime=runner.name, runner=runner, note=note)
        for runner in runners
    ]
    return cases + [_unusable_case(path, metadata, entry) for entry in unusable]


def _external_case(path: Path, query: Embedder, gallery: GalleryIndex) -> ParityCase:
    """The case of a described ONNX file, checked to read the same images as the network."""
    model = open_described(path)
    if not model.preprocessing.same_pixels(query.preprocessing):
        raise UserError(
            f"{path} reads {_described(model.preprocessing)}, but {query.name} reads "
            f"{_described(query.preprocessing)}.",
            "Compare networks that read the same images.",
        )
    if model.gallery_sha256 not in (None, gallery.manifest.gallery_sha256):
        raise _other_gallery(path)
    runner = ExternalOnnxRunner(model)
    return ParityCase(
        path=model.file.path,
        metadata=runner.metadata,
        runtime=runner.name,
        runner=runner,
        note=UNKNOWN_ORIGIN,
    )


def _described(preprocessing: Preprocessing) -> str:
    """How images are prepared, apart from the order and scale of channels, for an error."""
    how = f"{preprocessing.geometry}, {preprocessing.filter}"
    if preprocessing.short_side is not None:
        how += f", short side {preprocessing.short_side}"
    return (
        f"images of {preprocessing.size_text} pixels with the background "
        f"{preprocessing.background} ({how})"
    )


def _unusable_case(path: Path, metadata: Metadata, entry: UnusableRuntime) -> ParityCase:
    return ParityCase(
        path=path,
        metadata=metadata,
        runtime=entry.runtime,
        verdict="fail" if entry.refused else "not run",
        fault=f"the runtime refuses the file: {entry.reason}" if entry.refused else entry.reason,
    )


def _check_origin(path: Path, metadata: Metadata, query: Embedder, gallery: GalleryIndex) -> None:
    """Refuses a file that was not exported from the network or cannot search the index."""
    if not query.external and metadata.weights_sha256 != query.sha256:
        raise UserError(
            f"{path} was exported from another query network than {query.name}.",
            "Name the network that it was exported from with --model, or export it again.",
        )
    if metadata.precision not in BOUNDS:
        raise unknown_choice(f"precision in {path}", metadata.precision, BOUNDS)
    if metadata.gallery_sha256 != gallery.manifest.gallery_sha256:
        raise _other_gallery(path)
    if metadata.build_preprocessing() != query.preprocessing:
        raise UserError(
            f"{path} prepares its images differently from the network {query.name}.",
            "Export the file again from the network as it is now.",
        )


def _other_gallery(path: Path) -> UserError:
    return UserError(
        f"The gallery index was made by another gallery model than {path} was trained for.",
        "Name the index of that model with --index, or build one with `edgecmp gallery build`.",
    )
