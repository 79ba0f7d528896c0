"""Opening an exported file in the runtimes that are installed on this machine.

What a file contains is read from the file itself (its `Metadata`), never passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecmp import integrity
from edgecmp.errors import UserError, system_reason, unknown_choice
from edgecmp.export.formats.registry import Target, targets
from edgecmp.export.guarded_open import missing_package, no_metadata
from edgecmp.export.metadata import Metadata
from edgecmp.export.runtimes.openers import RuntimeRefusedError, RuntimeUnavailableError
from edgecmp.export.runtimes.runner import Runner
from edgecmp.export.runtimes.runners import RUNTIMES

__all__ = [
    "UnusableRuntime",
    "identify",
    "open_model",
    "read_metadata",
    "runtimes_for",
    "try_runtimes",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class UnusableRuntime:
    """A runtime that does not run a file.

    Attributes:
        runtime: its name.
        refused: the runtime is installed, but refused the file; False: it is not installed.
        reason: for messages.
    """

    runtime: str
    refused: bool
    reason: str


def identify(path: Path) -> Target:
    """The target of a file, by the file's suffix.

    Raises:
        UserError: there is no such file, or no target has that suffix.
    """
    try:
        path.stat()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.", "Write it with `edgecmp export`.") from None
    except (OSError, ValueError) as error:  # a name of 300 letters, a NUL in it
        reason = system_reason(error) if isinstance(error, OSError) else str(error)
        raise UserError(f"{str(path)!r} cannot be read: {reason}.", "Check the path.") from error
    by_suffix = {target.suffix: target for target in targets().values()}
    if path.suffix not in by_suffix:
        raise unknown_choice("kind of model file", path.name, by_suffix)
    return by_suffix[path.suffix]


def read_metadata(path: Path) -> Metadata:
    """The metadata inside an exported file.

    Raises:
        UserError: the file is missing, was changed since it was written, is not an edgecmp export,
            or a package that reads its format is not installed.
    """
    target = identify(path)
    if not integrity.verify(path):
        raise no_metadata(path, target.name)
    with missing_package(path):
        document = target.read(path)
    metadata = Metadata.read(document, source=str(path))
    if metadata.target != target.name:
        raise UserError(
            f"The metadata in {path} names the target {metadata.target}, but the file is "
            f"{target.name}.",
            "Export it again with `edgecmp export`.",
        )
    return metadata


def runtimes_for(target: str) -> tuple[type[Runner], ...]:
    """The runtimes that load files of a target."""
    return tuple(runtime for runtime in RUNTIMES if runtime.target == target)


def try_runtimes(path: Path, metadata: Metadata) -> tuple[list[Runner], list[UnusableRuntime]]:
    """Opens a file in every runtime of this machine that loads its format.

    Args:
        path: of a file that `read_metadata` found to be whole: a runtime may crash on others.
        metadata: of the file.

    Raises:
        UserError: at least one runtime is installed, and every installed one refuses the file.
    """
    runners: list[Runner] = []
    unusable: list[UnusableRuntime] = []
    for runtime in runtimes_for(metadata.target):
        try:
            runners.append(runtime(path, metadata))
        except RuntimeUnavailableError as error:
            unusable.append(UnusableRuntime(runtime=runtime.name, refused=False, reason=str(error)))
        except RuntimeRefusedError as error:
            unusable.append(UnusableRuntime(runtime=runtime.name, refused=True, reason=str(error)))
    refusals = [f"{entry.runtime}: {entry.reason}" for entry in unusable if entry.refused]
    if refusals and not runners:
        raise UserError(
            f"{path} is as it was written, but no runtime here loads it ({'; '.join(refusals)}).",
            "Update the runtimes with `pip install --upgrade 'edgecmp[export]'`, or export the "
            "file again with this edgecmp.",
        )
    return runners, unusable


def open_model(path: str | Path) -> list[Runner]:
    """One runner per runtime of this machine that loads the file.

    Raises:
        UserError: the file is missing, truncated or not an edgecmp export, or no runtime for it
            is installed.
    """
    path = Path(path)
    metadata = read_metadata(path)
    runners, unusable = try_runtimes(path, metadata)
    if not runners:
        reasons = "; ".join(f"{entry.runtime}: {entry.reason}" for entry in unusable)
        raise UserError(
            f"No runtime for {path} is installed ({reasons}).",
            "Install one with `pip install 'edgecmp[export]'`.",
        )
    return runners
