"""Loads an ONNX file of other tools in a child process first: a damaged one can end the process."""

from __future__ import annotations

import re
import resource
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from edgecmp import caged

__all__ = ["load_once", "try_onnx"]

MEMORY = 2**30
"""Bytes that a child may use beside the multiple of the file's size."""

PER_BYTE = 6
"""Bytes of memory per byte of a file: ONNX Runtime holds weights up to four times while it loads
them, and the parsed file is held beside them."""

NO_MEMORY = re.compile("bad_alloc|failed to allocate", re.IGNORECASE)

MOST_VALUES = 2**26
"""Values of an input that the trial fills with zeros; larger ones are left to the real run."""


def try_onnx(path: Path) -> None:
    """Refuses a file that ONNX Runtime does not survive; takes about 0.3 seconds.

    The file is loaded and, if its shape is fixed, run once. Faults that ONNX Runtime reports by
    itself are left to the caller.

    Raises:
        UserError: it crashes, takes minutes, or takes many times the file's size in memory.
    """
    found = path.stat()
    _try_onnx(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=16)
def _try_onnx(path: Path, size: int, _changed_ns: int) -> None:
    """Tries each version of a file once per process."""
    caged.call(f"{__name__}:load_once", path, memory=MEMORY + PER_BYTE * size)


def load_once(path: Path) -> None:
    """The trial, in the child process."""
    try:
        import onnx
        import onnxruntime
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    except ImportError:
        return
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, OSError):
        return
    _allow(_external_bytes(model, path.parent))
    del model
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        _run_once(session)
    except Exception as error:
        if NO_MEMORY.search(str(error)):
            raise MemoryError from error


def _external_bytes(model: Any, folder: Path) -> int:
    """Size of the files that the weights of a ModelProto are stored in."""
    names = {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    size = 0
    for name in names:
        with suppress(OSError, ValueError):
            size += (folder / name).stat().st_size
    return size


def _allow(size: int) -> None:
    """Raises this process's limit of memory for weights of that many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft >= 0:
        more = soft + PER_BYTE * size
        resource.setrlimit(resource.RLIMIT_DATA, (more if hard < 0 else min(more, hard), hard))


def _run_once(session: Any) -> None:
    """Runs a file on one blank image, if its shape is fixed."""
    import numpy as np

    kinds = {"tensor(float)": "f4", "tensor(float16)": "f2", "tensor(uint8)": "u1"}
    feeds = {}
    for given in session.get_inputs():
        batch, *rest = given.shape or [0]
        sizes = [batch if isinstance(batch, int) else 1, *rest]
        fixed = all(isinstance(size, int) and size > 0 for size in sizes)
        if given.type not in kinds or not fixed or np.prod(sizes, dtype=float) > MOST_VALUES:
            return
        feeds[given.name] = np.zeros(sizes, kinds[given.type])
    session.run(None, feeds)
