"""How a model is opened in each runtime: one function per runtime.

Every opener imports its runtime when it is called. A runtime that is not installed raises
`RuntimeUnavailableError`; a model that the runtime does not load raises `RuntimeRefusedError`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgecmp.export.runtimes.mil.program import MilProgram
from edgecmp.quiet import quiet_coremltools, quiet_native

__all__ = [
    "RuntimeRefusedError",
    "RuntimeUnavailableError",
    "first_line",
    "open_coreml",
    "open_mil_program",
    "open_onnx",
    "open_tflite",
    "refusals",
]

COREMLTOOLS = "coremltools"


class RuntimeUnavailableError(Exception):
    """The runtime cannot be used on this machine; the message is the reason."""


class RuntimeRefusedError(Exception):
    """The runtime is installed, but does not load or run this file; the message is its own."""


def open_tflite(model: bytes, *, module: str, package: str) -> Any:
    """A TFLite interpreter with one thread and its tensors allocated.

    Args:
        model: the content of a .tflite file.
        module: "ai_edge_litert" or "tflite_runtime".
        package: the name of that module's package, for the error if it is missing.
    """
    interpreter_class = _import(f"{module}.interpreter", package).Interpreter
    with refusals(), quiet_native():
        interpreter = interpreter_class(model_content=model, num_threads=1)
        interpreter.allocate_tensors()
    return interpreter


def open_onnx(model: bytes) -> Any:
    """An ONNX Runtime session on the CPU with one thread.

    Args:
        model: the content of an .onnx file.
    """
    onnxruntime = _import("onnxruntime", "onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    with refusals():
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def open_coreml(package: Path) -> Any:
    """A Core ML model of a .mlpackage, on macOS."""
    models = _import(COREMLTOOLS, COREMLTOOLS).models
    with refusals(), quiet_coremltools():
        return models.MLModel(str(package))


def open_mil_program(package: Path) -> MilProgram:
    """The program of a .mlpackage in the reference runner.

    Raises:
        UserError: the package is damaged or uses an operation that the runner does not support.
    """
    _import(COREMLTOOLS, COREMLTOOLS)
    return MilProgram(package)


@contextmanager
def refusals() -> Iterator[None]:
    """Turns whatever a runtime raises about a file into `RuntimeRefusedError`."""
    try:
        yield
    except Exception as error:
        raise RuntimeRefusedError(first_line(error)) from error


def first_line(error: Exception) -> str:
    """The first line of an error's message, or the name of its class if it has no message."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _import(module: str, package: str) -> Any:
    """A runtime's module; any import error, numpy's or the loader's too, means unavailable."""
    try:
        with quiet_coremltools():
            return importlib.import_module(module)
    except ImportError as error:
        raise RuntimeUnavailableError(f"{package} is not installed ({error})") from error
