"""One exported file in one runtime, after it was found to belong to the network and the index."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecmp.bundle import QueryBundle
from edgecmp.errors import UserError, unknown_choice
from edgecmp.export.metadata import Metadata
from edgecmp.export.runners import Runner, RuntimeRefusedError
from edgecmp.export.runtimes import Absence, read_metadata, try_runtimes
from edgecmp.export.verdict import BOUNDS
from edgecmp.index import GalleryIndex

__all__ = ["Trial", "open_trials"]


@dataclass(kw_only=True, slots=True)
class Trial:
    """One file in one runtime: its embeddings as they come, or why there are none."""

    path: Path
    metadata: Metadata
    runtime: str
    runner: Runner | None = None
    verdict: str = "pass"
    fault: str = ""
    parts: list[NDArray[np.float32]] = field(default_factory=list)

    def feed(self, pixels: NDArray[np.uint8]) -> None:
        """Embeds prepared images (n, S, S, 3), unless the runtime gave up before."""
        if self.runner is None:
            return
        try:
            self.parts.append(self.runner.embed(pixels))
        except RuntimeRefusedError as error:
            self.runner, self.verdict = None, "fail"
            self.fault = f"the runtime cannot run the file: {error}"

    def pace(self, size: int) -> float:
        """Seconds for one image, from a warm batch of blank ones."""
        batch = 0 if self.runner is None else self.runner.batch_size
        blank = np.zeros((batch, size, size, 3), np.uint8)
        self.feed(blank)
        start = time.perf_counter()
        self.feed(blank)
        elapsed = time.perf_counter() - start
        self.parts.clear()
        return elapsed / max(batch, 1)


def open_trials(path: Path, bundle: QueryBundle, gallery: GalleryIndex) -> list[Trial]:
    """What can be run of one file, after it was found to belong to the network and the index."""
    metadata = read_metadata(path)
    _check_origin(path, metadata, bundle, gallery)
    runners, absences = try_runtimes(path, metadata)
    trials = [Trial(path=path, metadata=metadata, runtime=r.name, runner=r) for r in runners]
    return trials + [_absent(path, metadata, absence) for absence in absences]


def _absent(path: Path, metadata: Metadata, absence: Absence) -> Trial:
    trial = Trial(path=path, metadata=metadata, runtime=absence.runtime)
    if absence.refused:
        trial.verdict, trial.fault = "fail", f"the runtime refuses the file: {absence.reason}"
    else:
        trial.verdict, trial.fault = "not run", absence.reason
    return trial


def _check_origin(
    path: Path, metadata: Metadata, bundle: QueryBundle, gallery: GalleryIndex
) -> None:
    """Refuses a file that does not belong to the network or cannot search the index."""
    if metadata.weights_sha256 != bundle.sha256:
        raise UserError(
            f"{path} was exported from another query network than {bundle.folder}.",
            "Name the network it was made from with --model, or export it again.",
        )
    if metadata.precision not in BOUNDS:
        raise unknown_choice(f"precision in {path}", metadata.precision, BOUNDS)
    if metadata.gallery_sha256 != gallery.manifest.gallery_sha256:
        raise UserError(
            f"The gallery index was made by another gallery model than {path} was trained for.",
            "Name the index of that model with --index, or build one with `edgecmp gallery build`.",
        )
    if metadata.preprocessing_fingerprint != bundle.preprocessing.fingerprint:
        raise UserError(
            f"{path} prepares its images differently than the network {bundle.folder}.",
            "Export the file again from the network as it is now.",
        )
