"""An exported file in a runtime of another machine, such as a phone or a board."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from edgecmp.errors import UserError
from edgecmp.export.metadata import Metadata
from edgecmp.export.runtimes.open import Absence
from edgecmp.export.runtimes.runners import (
    Batch,
    Runner,
    RuntimeRefusedError,
    RuntimeUnavailableError,
    planes,
)
from edgecmp.export.targets.registry import target

__all__ = ["Machine", "RemoteRunner", "try_runtimes_of"]


class Machine(Protocol):
    """What computes elsewhere; the devices of `edgecmp.benchmarks` do.

    Attributes:
        name: for people.
    """

    name: str

    def runtimes_for(self, suffix: str) -> Mapping[str, str]:
        """The runtimes for such files, each with the reason why it is missing there, or ""."""

    def compute(self, model: Path, inputs: NDArray[Any], *, runtime: str) -> NDArray[Any]:
        """What a model gives for a batch (N, ...), computed there: (N, D)."""


class RemoteRunner(Runner):
    """One exported file in one runtime of another machine; each call is a process there."""

    times_count = False
    opens_layers = False
    batch_size = 128

    def __init__(self, path: Path, metadata: Metadata, machine: Machine, runtime: str) -> None:
        self.name = f"{runtime} on {machine.name}"
        self.target = metadata.target
        self._machine, self._runtime = machine, runtime
        super().__init__(path, metadata)

    def _open(self, path: Path) -> None:
        reason = self._machine.runtimes_for(path.suffix)[self._runtime]
        if reason:
            raise RuntimeUnavailableError(reason)

    def run(self, images: Batch) -> NDArray[Any]:
        """See `Runner.run`.

        Raises:
            UserError: the machine was lost; nothing was found out about the file.
        """
        try:
            return super().run(images)
        except RuntimeRefusedError as error:
            if isinstance(error.__cause__, UserError):
                raise error.__cause__ from None
            raise

    def _run(self, images: Batch) -> NDArray[Any]:
        tensor = self.target == "onnx" and self.metadata.input == "tensor"
        given = planes(images) if tensor else images
        return self._machine.compute(self.path, given, runtime=self._runtime)


def try_runtimes_of(
    machine: Machine, path: Path, metadata: Metadata
) -> tuple[list[Runner], list[Absence]]:
    """Opens a file in every runtime of another machine that loads its format."""
    runners: list[Runner] = []
    absences: list[Absence] = []
    names = machine.runtimes_for(target(metadata.target).suffix)
    for name in names:
        try:
            runners.append(RemoteRunner(path, metadata, machine, name))
        except RuntimeUnavailableError as error:
            runtime = f"{name} on {machine.name}"
            absences.append(Absence(runtime=runtime, refused=False, reason=str(error)))
    return runners, absences
