"""One exported file in one runtime, after it was found to belong to the network and the index."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError, unknown_choice
from edgecmp.export.metadata import Metadata
from edgecmp.export.parity.verdict import BOUNDS
from edgecmp.export.runtimes.foreign_onnx import ForeignRunner
from edgecmp.export.runtimes.open import Absence, read_metadata, try_runtimes
from edgecmp.export.runtimes.remote import Machine, try_runtimes_of
from edgecmp.export.runtimes.runners import Runner, RuntimeRefusedError
from edgecmp.gallery.index import GalleryIndex
from edgecmp.gallery.open import open_described
from edgecmp.networks.embed import Embedder

__all__ = ["Trial", "open_trials"]

TIMED_RUNS = 15
PACE_BATCH = 64
"""Most blank images that the time of a batch is taken with."""

UNKNOWN_ORIGIN = "made elsewhere: that both are the same network cannot be checked by their hashes"


@dataclass(kw_only=True, slots=True)
class Trial:
    """One file in one runtime: its embeddings as they come, or why there are none."""

    path: Path
    metadata: Metadata
    runtime: str
    runner: Runner | None = None
    verdict: str = "pass"
    fault: str = ""
    note: str = ""
    latency_ms: float | None = None
    parts: list[NDArray[np.float32]] = field(default_factory=list)
    gallery_parts: list[NDArray[np.float32]] = field(default_factory=list)

    def feed(self, pixels: NDArray[np.uint8], parts: list[NDArray[np.float32]]) -> None:
        """Embeds prepared images (n, S, S, 3) into `parts`, unless the runtime gave up before."""
        if self.runner is None:
            return
        try:
            parts.append(self.runner.embed(pixels))
        except RuntimeRefusedError as error:
            self.runner, self.verdict = None, "fail"
            self.fault = f"the runtime cannot run the file: {error}"

    def pace(self, size: int) -> float:
        """Seconds for one image, from a warm batch of blank ones; measures the latency as well.

        The latency is the median of single images in this process; `edgecmp bench` measures
        better.
        """
        batch = 0 if self.runner is None else min(self.runner.batch_size, PACE_BATCH)
        blank = np.zeros((batch, size, size, 3), np.uint8)
        elapsed = self._timed(blank)
        if self.runner is not None and self.runner.times_count:
            self.latency_ms = 1000 * float(
                np.median([self._timed(blank[:1]) for _ in range(TIMED_RUNS)])
            )
        return elapsed / max(batch, 1)

    def _timed(self, pixels: NDArray[np.uint8]) -> float:
        """Seconds of one warm call."""
        if self.runner is None:
            return 0.0
        try:
            given = self.runner.read(pixels)
            self.runner.run(given)
            start = time.perf_counter()
            self.runner.run(given)
            return time.perf_counter() - start
        except RuntimeRefusedError:
            return 0.0  # said when it is fed


def open_trials(
    path: Path, query: Embedder, gallery: GalleryIndex, machine: Machine | None = None
) -> list[Trial]:
    """What can be run of one file, after it was found to belong to the network and the index.

    With a `machine`, in its runtimes too.
    """
    described = path.with_suffix(".toml")
    if path.suffix == ".toml" or (path.suffix == ".onnx" and described.exists()):
        return [_foreign(described, query, gallery)]
    metadata = read_metadata(path)
    _check_origin(path, metadata, query, gallery)
    runners, absences = try_runtimes(path, metadata)
    if machine is not None:
        theirs, missing = try_runtimes_of(machine, path, metadata)
        runners, absences = runners + theirs, absences + missing
    note = UNKNOWN_ORIGIN if query.foreign else ""
    trials = [
        Trial(path=path, metadata=metadata, runtime=r.name, runner=r, note=note) for r in runners
    ]
    return trials + [_absent(path, metadata, absence) for absence in absences]


def _foreign(path: Path, query: Embedder, gallery: GalleryIndex) -> Trial:
    """A described ONNX file, after it was found to read the same images as the network."""
    model = open_described(path)
    mine, theirs = model.preprocessing, query.preprocessing
    if (mine.input_size, mine.background) != (theirs.input_size, theirs.background):
        raise UserError(
            f"{path} fits its images into {mine.input_size} pixels on {mine.background}, but "
            f"{query.name} into {theirs.input_size} on {theirs.background}.",
            "Compare networks that read the same images.",
        )
    if model.gallery_sha256 not in (None, gallery.manifest.gallery_sha256):
        raise _other_gallery(path)
    runner = ForeignRunner(model)
    return Trial(
        path=model.file.path,
        metadata=runner.metadata,
        runtime=runner.name,
        runner=runner,
        note=UNKNOWN_ORIGIN,
    )


def _absent(path: Path, metadata: Metadata, absence: Absence) -> Trial:
    trial = Trial(path=path, metadata=metadata, runtime=absence.runtime)
    if absence.refused:
        trial.verdict, trial.fault = "fail", f"the runtime refuses the file: {absence.reason}"
    else:
        trial.verdict, trial.fault = "not run", absence.reason
    return trial


def _check_origin(path: Path, metadata: Metadata, query: Embedder, gallery: GalleryIndex) -> None:
    """Refuses a file that does not belong to the network or cannot search the index."""
    if not query.foreign and metadata.weights_sha256 != query.sha256:
        raise UserError(
            f"{path} was exported from another query network than {query.name}.",
            "Name the network it was made from with --model, or export it again.",
        )
    if metadata.precision not in BOUNDS:
        raise unknown_choice(f"precision in {path}", metadata.precision, BOUNDS)
    if metadata.gallery_sha256 != gallery.manifest.gallery_sha256:
        raise _other_gallery(path)
    if metadata.preprocessing_fingerprint != query.preprocessing.fingerprint:
        raise UserError(
            f"{path} prepares its images differently than the network {query.name}.",
            "Export the file again from the network as it is now.",
        )


def _other_gallery(path: Path) -> UserError:
    return UserError(
        f"The gallery index was made by another gallery model than {path} was trained for.",
        "Name the index of that model with --index, or build one with `edgecmp gallery build`.",
    )
