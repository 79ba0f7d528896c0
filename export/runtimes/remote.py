"""An exported file in a runtime of a remote machine, such as a phone or a board."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from edgecmp.errors import UserError
from edgecmp.export.formats.registry import target
from edgecmp.export.metadata import Metadata
from edgecmp.export.runtimes.open import UnusableRuntime
from edgecmp.export.runtimes.openers import RuntimeRefusedError, RuntimeUnavailableError
from edgecmp.export.runtimes.runner import Batch, Runner, channels_first

__all__ = ["Machine", "RemoteRunner", "try_remote_runtimes"]


class Machine(Protocol):
    """A remote machine that runs models; the devices of `edgecmp.benchmarks` are such machines.

    Attributes:
        name: for messages and reports.
    """

    name: str

    def runtimes_for(self, suffix: str) -> Mapping[str, str]:
        """The runtimes for files of a suffix, each with the reason why it is missing, or ""."""

    def compute(self, model: Path, inputs: NDArray[Any], *, runtime: str) -> NDArray[Any]:
        """Runs a model on the remote machine: a batch (N, ...) to outputs (N, D)."""


class RemoteRunner(Runner):
    """One exported file in one runtime of a remote machine; each call is a process there."""

    measures_latency = False
    exposes_layers = False
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
            UserError: the connection to the machine was lost, which says nothing about the file.
        """
        try:
            return super().run(images)
        except RuntimeRefusedError as error:
            if isinstance(error.__cause__, UserError):
                raise error.__cause__ from None
            raise

    def _run(self, images: Batch) -> NDArray[Any]:
        reads_planes = self.target == "onnx" and self.metadata.input == "tensor"
        inputs = channels_first(images) if reads_planes else images
        return self._machine.compute(self.path, inputs, runtime=self._runtime)


def try_remote_runtimes(
    machine: Machine, path: Path, metadata: Metadata
) -> tuple[list[Runner], list[UnusableRuntime]]:
    """Opens a file in every runtime of a remote machine that loads its format."""
    runners: list[Runner] = []
    unusable: list[UnusableRuntime] = []
    for name in machine.runtimes_for(target(metadata.target).suffix):
        try:
            runners.append(RemoteRunner(path, metadata, machine, name))
        except RuntimeUnavailableError as error:
            runtime = f"{name} on {machine.name}"
            unusable.append(UnusableRuntime(runtime=runtime, refused=False, reason=str(error)))
    return runners, unusable
