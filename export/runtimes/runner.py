"""Runner: one exported file in one runtime, from pixels to embeddings."""

from __future__ import annotations

import importlib.metadata
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgecmp.export.metadata import Metadata
from edgecmp.export.runtimes.openers import refusals
from edgecmp.preprocessing import Preprocessing

__all__ = ["Batch", "Runner", "channels_first"]

Batch: TypeAlias = NDArray[np.float32] | NDArray[np.uint8]
"""(n, S, S, 3): normalised values, or pixels if the file reads images."""


class Runner(ABC):
    """One exported file in one runtime.

    Attributes:
        name: of the runtime.
        target: the format that the runtime loads.
        package: the runtime's package.
        batch_size: most images per call.
        measures_latency: whether its running times are those of a device's runtime.
        exposes_layers: whether the outputs of its layers can be read on this machine.
    """

    name: str
    target: str
    package: ClassVar[str]
    batch_size: int = 1
    measures_latency: ClassVar[bool] = True
    exposes_layers: ClassVar[bool] = True

    def __init__(self, path: Path, metadata: Metadata) -> None:
        self.path = path
        self.metadata = metadata
        self._open(path)

    @property
    def version(self) -> str:
        """Version of the installed runtime."""
        return importlib.metadata.version(self.package)

    @property
    def precision(self) -> str:
        """Precision of the file."""
        return self.metadata.precision

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """How an image becomes what the file reads."""
        return self.metadata.build_preprocessing()

    def embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeds prepared images.

        Args:
            pixels: (N, S, S, 3).

        Returns:
            (N, D).

        Raises:
            RuntimeRefusedError: the runtime loaded the file, but cannot run it.
        """
        return np.concatenate(
            [
                self.run(self.to_input(pixels[start : start + self.batch_size]))
                for start in range(0, len(pixels), self.batch_size)
            ]
        )

    def run(self, images: Batch) -> NDArray[np.float32]:
        """Computes the file's output for images (N, S, S, 3) of the type that it reads: (N, D).

        Raises:
            RuntimeRefusedError: the runtime loaded the file, but cannot run it.
        """
        with refusals():
            return np.concatenate(
                [
                    self._run(np.ascontiguousarray(images[start : start + self.batch_size]))
                    for start in range(0, len(images), self.batch_size)
                ]
            )

    def to_input(self, pixels: NDArray[np.uint8]) -> Batch:
        """The file's input for prepared images (n, S, S, 3)."""
        if self.metadata.input == "image":
            return np.ascontiguousarray(pixels)
        normalised = self.preprocessing.normalise(pixels)  # (n, 3, S, S), channels last in memory
        return np.ascontiguousarray(normalised.permute(0, 2, 3, 1).numpy())

    @abstractmethod
    def _open(self, path: Path) -> None:
        """Loads the file.

        Raises:
            RuntimeUnavailableError: the runtime cannot be used on this machine.
            RuntimeRefusedError: the runtime does not load the file.
        """

    @abstractmethod
    def _run(self, images: Batch) -> NDArray[np.float32]:
        """Runs up to `batch_size` images (n, S, S, 3), as the file reads them: (n, D)."""


def channels_first(images: Batch) -> NDArray[Any]:
    """Images (n, S, S, 3) as (n, 3, S, S)."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
