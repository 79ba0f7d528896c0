"""Opening an exported file in the runtimes that are installed here.

What a file is comes from inside the file (its `Metadata`), not from who hands it over.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecmp.errors import UserError, unknown_choice
from edgecmp.export.metadata import Metadata
from edgecmp.export.runtimes.runners import (
    RUNTIMES,
    Runner,
    RuntimeRefusedError,
    RuntimeUnavailableError,
)
from edgecmp.export.targets.registry import Target, targets

__all__ = [
    "Absence",
    "Runner",
    "identify",
    "open_model",
    "read_metadata",
    "runtimes_for",
    "try_runtimes",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Absence:
    """A runtime that does not run a file: it is missing here, or it `refused` the file."""

    runtime: str
    refused: bool
    reason: str


def identify(path: Path) -> Target:
    """The target that a file's suffix belongs to.

    Raises:
        UserError: there is no such file, or no target has that suffix.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist.", "Write it with `edgecmp export`.")
    by_suffix = {target.suffix: target for target in targets().values()}
    if path.suffix not in by_suffix:
        raise unknown_choice("kind of model file", path.name, by_suffix)
    return by_suffix[path.suffix]


def read_metadata(path: Path) -> Metadata:
    """What an exported file says about itself.

    Raises:
        UserError: the file is missing, truncated, changed or not one of ours, or a package that
            reads its format is not installed.
    """
    target = identify(path)
    try:
        document = target.read(path)
    except ImportError as error:
        raise UserError(
            f"Reading {path} needs a package that is not installed ({error}).",
            "Install it with `pip install 'edgecmp[export]'`.",
        ) from error
    metadata = Metadata.read(document, source=str(path))
    if metadata.target != target.name:
        raise UserError(
            f"{path} says that it was exported for {metadata.target}, but it is {target.name}.",
            "Export it again with `edgecmp export`.",
        )
    return metadata


def runtimes_for(target: str) -> tuple[type[Runner], ...]:
    """The runtimes that load files of a target."""
    return tuple(runtime for runtime in RUNTIMES if runtime.target == target)


def try_runtimes(path: Path, metadata: Metadata) -> tuple[list[Runner], list[Absence]]:
    """Opens a file in every runtime that loads its format.

    Raises:
        UserError: runtimes are here and each of them refuses the file.
    """
    runners: list[Runner] = []
    absences: list[Absence] = []
    for runtime in runtimes_for(metadata.target):
        try:
            runners.append(runtime(path, metadata))
        except RuntimeUnavailableError as error:
            absences.append(Absence(runtime=runtime.name, refused=False, reason=str(error)))
        except RuntimeRefusedError as error:
            absences.append(Absence(runtime=runtime.name, refused=True, reason=str(error)))
    refusals = [f"{absence.runtime}: {absence.reason}" for absence in absences if absence.refused]
    if refusals and not runners:
        raise UserError(
            f"{path} is truncated or damaged: no runtime loads it ({'; '.join(refusals)}).",
            "Copy it again, or write it again with `edgecmp export`.",
        )
    return runners, absences


def open_model(path: str | Path) -> list[Runner]:
    """One runner for each runtime of this machine that loads the file.

    Raises:
        UserError: the file is missing, truncated or not one of ours, or no runtime is here.
    """
    path = Path(path)
    metadata = read_metadata(path)
    runners, absences = try_runtimes(path, metadata)
    if not runners:
        reasons = "; ".join(f"{absence.runtime}: {absence.reason}" for absence in absences)
        raise UserError(
            f"No runtime for {path} is here ({reasons}).",
            "Install one with `pip install 'edgecmp[export]'`.",
        )
    return runners
