"""The runtimes that can run an exported file: one `Runner` class each."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from edgecmp.export.metadata import Metadata
from edgecmp.export.runtimes.mil.program import MilProgram
from edgecmp.preprocessing import Preprocessing
from edgecmp.quiet import quiet_coremltools, quiet_native

__all__ = [
    "RUNTIMES",
    "Batch",
    "Runner",
    "RuntimeRefusedError",
    "RuntimeUnavailableError",
    "planes",
]

Batch: TypeAlias = NDArray[np.float32] | NDArray[np.uint8]
"""(n, S, S, 3): normalised values, or pixels where the file reads images."""


class RuntimeUnavailableError(Exception):
    """The runtime cannot be used on this machine; the message is the reason."""


class RuntimeRefusedError(Exception):
    """The runtime is here, but does not load this file; the message is what it said."""


class Runner(ABC):
    """One exported file in one runtime.

    Attributes:
        name: of the runtime.
        target: the format it loads.
        version: of the runtime's package.
        batch_size: images it can compute in one call.
        times_count: whether its times say something about devices.
        opens_layers: whether what its layers compute can be looked at from here.
    """

    name: str
    target: str
    package: ClassVar[str]
    batch_size: int = 1
    times_count: ClassVar[bool] = True
    opens_layers: ClassVar[bool] = True

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
        """Prepared images uint8 (N, S, S, 3) to embeddings float32 (N, D).

        Raises:
            RuntimeRefusedError: the runtime loaded the file, but cannot run it.
        """
        return np.concatenate(
            [
                self.run(self.read(pixels[start : start + self.batch_size]))
                for start in range(0, len(pixels), self.batch_size)
            ]
        )

    def run(self, images: Batch) -> NDArray[np.float32]:
        """What the file gives for any images (N, S, S, 3) of the type it reads: (N, D).

        Raises:
            RuntimeRefusedError: the runtime loaded the file, but cannot run it.
        """
        with _refusal():
            return np.concatenate(
                [
                    self._run(np.ascontiguousarray(images[start : start + self.batch_size]))
                    for start in range(0, len(images), self.batch_size)
                ]
            )

    def read(self, pixels: NDArray[np.uint8]) -> Batch:
        """What the file is to be given for these images (n, S, S, 3)."""
        if self.metadata.input == "image":
            return np.ascontiguousarray(pixels)
        planes = self.preprocessing.normalise(pixels)  # (n, 3, S, S), channels last in memory
        return np.ascontiguousarray(planes.permute(0, 2, 3, 1).numpy())

    @abstractmethod
    def _open(self, path: Path) -> None:
        """Loads the file; RuntimeUnavailableError or RuntimeRefusedError where it cannot."""

    @abstractmethod
    def _run(self, images: Batch) -> NDArray[np.float32]:
        """Up to `batch_size` images (n, S, S, 3), as the file reads them, to (n, D)."""


class _TfliteRunner(Runner):
    """A TFLite interpreter; the file takes (1, S, S, 3)."""

    target = "tflite"
    module: ClassVar[str]

    def _open(self, path: Path) -> None:
        interpreter = _import(f"{self.module}.interpreter", self.package).Interpreter
        with _refusal(), quiet_native():
            self._interpreter = interpreter(model_content=path.read_bytes(), num_threads=1)
            self._interpreter.allocate_tensors()
            self._input = self._interpreter.get_input_details()[0]["index"]
            self._output = self._interpreter.get_output_details()[0]["index"]

    def _run(self, images: Batch) -> NDArray[np.float32]:
        self._interpreter.set_tensor(self._input, images)
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output))


class LiteRtRunner(_TfliteRunner):
    """LiteRT, the current TFLite runtime."""

    name = "litert"
    package = "ai-edge-litert"
    module = "ai_edge_litert"


class TfliteRuntimeRunner(_TfliteRunner):
    """tflite-runtime 2.14, the last of its name and the one that many devices still carry."""

    name = "tflite-runtime"
    package = "tflite-runtime"
    module = "tflite_runtime"

    def _open(self, path: Path) -> None:
        if int(np.__version__.partition(".")[0]) >= 2:
            raise RuntimeUnavailableError(f"it needs numpy < 2, here is numpy {np.__version__}")
        # 2.14 does not verify a file and takes the process down with a damaged one: LiteRT does.
        with suppress(RuntimeUnavailableError):
            LiteRtRunner(path, self.metadata)
        super()._open(path)


class OnnxRunner(Runner):
    """ONNX Runtime on the CPU, one thread."""

    name = "onnxruntime"
    target = "onnx"
    package = "onnxruntime"

    def _open(self, path: Path) -> None:
        onnxruntime = _import("onnxruntime", self.package)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        with _refusal():
            self._session = onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        if not isinstance(self._session.get_inputs()[0].shape[0], int):
            self.batch_size = 32

    def _run(self, images: Batch) -> NDArray[np.float32]:
        given = images if self.metadata.input == "image" else planes(images)
        return np.asarray(self._session.run(["embedding"], {"image": given})[0])


class CoremlRunner(Runner):
    """Core ML itself, on macOS."""

    name = "coreml"
    target = "coreml"
    package = "coremltools"

    def _open(self, path: Path) -> None:
        if sys.platform != "darwin":
            raise RuntimeUnavailableError("needs macOS")
        with _refusal(), quiet_coremltools():
            self._model: Any = _import("coremltools", self.package).models.MLModel(str(path))

    def _run(self, images: Batch) -> NDArray[np.float32]:
        (image,) = images
        given = Image.fromarray(image) if self.metadata.input == "image" else planes(images)
        embedding = self._model.predict({"image": given})["embedding"]
        return np.asarray(embedding, np.float32)


class MilReferenceRunner(Runner):
    """Our own reading of a Core ML package (see `runtimes.mil`), where Core ML is not."""

    name = "mil-reference"
    target = "coreml"
    package = "coremltools"
    batch_size = 64
    times_count = False

    def _open(self, path: Path) -> None:
        _import("coremltools", self.package)
        self._program = MilProgram(path)

    def _run(self, images: Batch) -> NDArray[np.float32]:
        given = torch.from_numpy(planes(images)).float()
        batch = given[:, None]  # (n, 1, 3, S, S): n calls of one image
        embeddings: NDArray[np.float32] = self._program.run(image=batch)["embedding"][:, 0].numpy()
        return embeddings


RUNTIMES: tuple[type[Runner], ...] = (
    LiteRtRunner,
    TfliteRuntimeRunner,
    OnnxRunner,
    CoremlRunner,
    MilReferenceRunner,
)
"""Every runtime that is known, in the order of the reports."""


def planes(images: Batch) -> NDArray[Any]:
    """(n, S, S, 3) to (n, 3, S, S)."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _import(module: str, package: str) -> Any:
    """A runtime's module; numpy's or the loader's complaints count as not installed."""
    try:
        with quiet_coremltools():
            return importlib.import_module(module)
    except ImportError as error:
        raise RuntimeUnavailableError(f"{package} is not installed ({error})") from error


@contextmanager
def _refusal() -> Iterator[None]:
    """Turns whatever a runtime raises over a file into RuntimeRefusedError."""
    try:
        yield
    except Exception as error:
        first_line = str(error).strip().partition("\n")[0]
        raise RuntimeRefusedError(first_line or type(error).__name__) from error
