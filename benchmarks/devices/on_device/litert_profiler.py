"""LiteRT's profiler, through ctypes, since only the C interface of the library offers it.

Like the runner, this file can be copied to a device and run there: it needs Python >= 3.8 and
ai-edge-litert, imports nothing from edgecmp and prints a JSON document.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

__all__ = ["BUILT_IN", "DELEGATED", "WHOLE", "main", "record"]

WARM_UP = 5
CPU = 1
"""LiteRT's flag for its CPU accelerator, XNNPACK."""

WHOLE, BUILT_IN, DELEGATED = 1, 2, 8
"""Types of events: a whole run, an operator of the interpreter, an operator of a delegate."""


class _Memory(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("total", "allocated", "in_use")]


class _Event(ctypes.Structure):
    _fields_ = [
        ("tag", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("time_us", ctypes.c_uint64),
        ("memory_before", _Memory),
        ("memory_after", _Memory),
        ("metadata", ctypes.c_uint64 * 2),
        ("source", ctypes.c_int),
    ]


class _TensorType(ctypes.Structure):
    _fields_ = [
        ("element", ctypes.c_int),
        ("rank_and_flags", ctypes.c_uint),
        ("dimensions", ctypes.c_int32 * 8),
        ("strides", ctypes.c_uint32 * 8),
    ]


class _LiteRt:
    """The library. Its functions return a status; most also return an object through a pointer."""

    def __init__(self) -> None:
        import ai_edge_litert

        name = "libLiteRt.dylib" if sys.platform == "darwin" else "libLiteRt.so"
        self._library = ctypes.CDLL(str(Path(ai_edge_litert.__file__).parent / name))
        self._c = ctypes.CDLL(None)
        self._c.strdup.restype = ctypes.c_void_p

    def call(self, name: str, *arguments: Any) -> None:
        """Calls a function and checks its status."""
        status = getattr(self._library, f"LiteRt{name}")(*arguments)
        if status:
            raise RuntimeError(f"LiteRt{name} returned status {status}")

    def get(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        """The object that a function creates or returns."""
        handle = ctypes.c_void_p()
        self.call(name, *arguments, ctypes.byref(handle))
        return handle

    def destroy(self, kind: str, handle: ctypes.c_void_p) -> None:
        """Frees an object."""
        getattr(self._library, f"LiteRtDestroy{kind}")(handle)

    def options(self) -> ctypes.c_void_p:
        """Options that select the CPU and enable the profiler."""
        options = self.get("CreateOptions")
        self.call("SetOptionsHardwareAccelerators", options, CPU)
        text = ctypes.c_void_p(self._c.strdup(b"enable_profiling = true\n"))
        switch = self.get("CreateOpaqueOptions", b"runtime_options_string", text, self._c.free)
        self.call("AddOpaqueOptions", options, switch)
        return options

    def buffer(self, kind: str, environment: Any, model: Any, signature: Any) -> Any:
        """An array with the only input or output buffer of the model."""
        first = ctypes.c_size_t(0)
        tensor = self.get(f"GetSignature{kind}TensorByIndex", signature, first)
        its_type = _TensorType()
        self.call("GetRankedTensorType", tensor, ctypes.byref(its_type))
        needs = self.get(f"GetCompiledModel{kind}BufferRequirements", model, first, first)
        create = "CreateManagedTensorBufferFromRequirements"
        return (ctypes.c_void_p * 1)(self.get(create, environment, ctypes.byref(its_type), needs))


def record(path: Path, runs: int) -> list[tuple[str, int, int]]:
    """(name, type, microseconds) of every event of `runs` runs with one thread, in order.

    Raises:
        RuntimeError: LiteRT refuses a call; the message names it.
    """
    library = _LiteRt()
    environment = library.get("CreateEnvironment", 0, None)
    file = library.get("CreateModelFromFile", environment, str(path).encode())
    model = library.get("CreateCompiledModel", environment, file, library.options())
    profiler = library.get("CompiledModelGetProfiler", model)
    first, one = ctypes.c_size_t(0), ctypes.c_size_t(1)
    signature = library.get("GetModelSignature", file, first)
    inputs, outputs = (
        library.buffer(kind, environment, model, signature) for kind in ("Input", "Output")
    )
    for run in range(WARM_UP + runs):
        if run == WARM_UP:
            library.call("StartProfiler", profiler)
        library.call("RunCompiledModel", model, first, one, inputs, one, outputs)
    library.call("StopProfiler", profiler)
    count = ctypes.c_int()
    library.call("GetNumProfilerEvents", profiler, ctypes.byref(count))
    events = (_Event * count.value)()
    library.call("GetProfilerEvents", profiler, count, events)
    recorded = [(event.tag.decode(), event.type, event.time_us) for event in events]
    for kind, handle in (("CompiledModel", model), ("Model", file), ("Environment", environment)):
        library.destroy(kind, handle)
    return recorded


def main() -> None:
    """Profiles the file and number of runs in the arguments; prints the events and an end mark."""
    print(json.dumps({"events": record(Path(sys.argv[1]), int(sys.argv[2]))}))
    print("edgecmp-runner: end")


if __name__ == "__main__":
    main()
