"""The runtimes that run an exported file on this machine: one `Runner` class per runtime."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from edgecmp.export.runtimes.openers import (
    RuntimeUnavailableError,
    open_coreml,
    open_mil_program,
    open_onnx,
    open_tflite,
    refusals,
)
from edgecmp.export.runtimes.runner import Batch, Runner, channels_first

__all__ = [
    "RUNTIMES",
    "CoremlRunner",
    "LiteRtRunner",
    "MilReferenceRunner",
    "OnnxRunner",
    "TfliteRunner",
    "TfliteRuntimeRunner",
]


class TfliteRunner(Runner):
    """A TFLite interpreter; the file reads (1, S, S, 3).

    Attributes:
        module: the package that the interpreter is imported from.
    """

    target = "tflite"
    module: ClassVar[str]

    def _open(self, path: Path) -> None:
        self._interpreter = open_tflite(path.read_bytes(), module=self.module, package=self.package)
        with refusals():
            self._input = self._interpreter.get_input_details()[0]["index"]
            self._output = self._interpreter.get_output_details()[0]["index"]

    def _run(self, images: Batch) -> NDArray[np.float32]:
        self._interpreter.set_tensor(self._input, images)
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output))


class LiteRtRunner(TfliteRunner):
    """LiteRT, the current TFLite runtime."""

    name = "litert"
    package = "ai-edge-litert"
    module = "ai_edge_litert"


class TfliteRuntimeRunner(TfliteRunner):
    """tflite-runtime 2.14, the last release of that package, still installed on many devices."""

    name = "tflite-runtime"
    package = "tflite-runtime"
    module = "tflite_runtime"

    def _open(self, path: Path) -> None:
        installed = importlib.util.find_spec(self.module) is not None
        if installed and int(np.__version__.partition(".")[0]) >= 2:
            raise RuntimeUnavailableError(
                f"needs numpy < 2, but numpy {np.__version__} is installed"
            )
        # 2.14 does not verify a file, and a damaged one ends the process: LiteRT verifies it.
        with suppress(RuntimeUnavailableError):
            LiteRtRunner(path, self.metadata)
        super()._open(path)


class OnnxRunner(Runner):
    """ONNX Runtime on the CPU, with one thread."""

    name = "onnxruntime"
    target = "onnx"
    package = "onnxruntime"

    def _open(self, path: Path) -> None:
        self._session = open_onnx(path.read_bytes())
        if not isinstance(self._session.get_inputs()[0].shape[0], int):
            self.batch_size = 32

    def _run(self, images: Batch) -> NDArray[np.float32]:
        image = images if self.metadata.input == "image" else channels_first(images)
        return np.asarray(self._session.run(["embedding"], {"image": image})[0])


class CoremlRunner(Runner):
    """Core ML itself, on macOS."""

    name = "coreml"
    target = "coreml"
    package = "coremltools"

    def _open(self, path: Path) -> None:
        if sys.platform != "darwin":
            raise RuntimeUnavailableError("needs macOS")
        self._model: Any = open_coreml(path)

    def _run(self, images: Batch) -> NDArray[np.float32]:
        (pixels,) = images
        reads_image = self.metadata.input == "image"
        image = Image.fromarray(pixels) if reads_image else channels_first(images)
        return np.asarray(self._model.predict({"image": image})["embedding"], np.float32)


class MilReferenceRunner(Runner):
    """The reference runner of Core ML packages (see `runtimes.mil`), on any system."""

    name = "mil-reference"
    target = "coreml"
    package = "coremltools"
    batch_size = 64
    measures_latency = False

    def _open(self, path: Path) -> None:
        self._program = open_mil_program(path)

    def _run(self, images: Batch) -> NDArray[np.float32]:
        calls = torch.from_numpy(channels_first(images)).float()[:, None]  # (n, 1, 3, S, S)
        embeddings: NDArray[np.float32] = self._program.run(image=calls)["embedding"][:, 0].numpy()
        return embeddings


RUNTIMES: tuple[type[Runner], ...] = (
    LiteRtRunner,
    TfliteRuntimeRunner,
    OnnxRunner,
    CoremlRunner,
    MilReferenceRunner,
)
"""Every supported runtime, in the order of the reports."""
