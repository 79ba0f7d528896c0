"""The part of the harness that runs on the device: times one model and prints one JSON document.

One file that needs Python >= 3.8, numpy and a runtime (LiteRT or tflite-runtime for .tflite, ONNX
Runtime for .onnx). It imports nothing of edgecmp, so it can be copied to a board and run there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["RUNTIMES", "facts", "main", "measure"]

RUNTIMES = {
    "litert": (".tflite", "ai_edge_litert.interpreter", "ai-edge-litert"),
    "tflite-runtime": (".tflite", "tflite_runtime.interpreter", "tflite-runtime"),
    "onnxruntime": (".onnx", "onnxruntime", "onnxruntime"),
}
"""Name: the suffix it loads, its module, its package."""


def load_runtime(name: str) -> tuple[Any, str]:
    """Imports a runtime: (module, version); an ImportError says why it cannot be used here."""
    import importlib.metadata

    import numpy

    if name == "tflite-runtime" and int(numpy.__version__.split(".")[0]) >= 2:
        raise ImportError(f"it needs numpy < 2, here is numpy {numpy.__version__}")
    _, module, package = RUNTIMES[name]
    return importlib.import_module(module), importlib.metadata.version(package)


def open_tflite(module: Any, path: str, threads: int) -> tuple[Any, Any, list[int], Any]:
    """A function that runs the model once, and its input's shape and type."""
    interpreter = module.Interpreter(model_path=path, num_threads=threads)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]

    def feed(values: Any) -> None:
        interpreter.set_tensor(details["index"], values)

    return interpreter.invoke, feed, list(details["shape"]), details["dtype"]


def open_onnx(module: Any, path: str, threads: int) -> tuple[Any, Any, list[int], Any]:
    """The same for an ONNX file; axes without a fixed size are taken as 1."""
    import numpy

    options = module.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = module.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    details = session.get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 for size in details.shape]
    dtype = {"tensor(float16)": numpy.float16, "tensor(uint8)": numpy.uint8}.get(
        details.type, numpy.float32
    )
    inputs: dict[str, Any] = {}

    def feed(values: Any) -> None:
        inputs[details.name] = values

    return lambda: session.run(None, inputs), feed, shape, dtype


def read_text(path: str | Path) -> str | None:
    """A small system file's text, or None where there is none."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def temperatures() -> dict[str, float]:
    """Degrees Celsius of the thermal zones, by the zone's type."""
    zones = {}
    for zone in sorted(Path("/sys/class/thermal").glob("thermal_zone*")):
        value = read_text(zone / "temp")
        if value and value.lstrip("-").isdigit():
            zones[f"{zone.name} {read_text(zone / 'type')}"] = int(value) / 1000
    return zones


def cpu_name() -> str:
    """The processor's name, as the system tells it."""
    for line in (read_text("/proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Hardware", "Model"):
            return value.strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int | None:
    """Cores this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count()


def conditions() -> dict[str, Any]:
    """What can change between runs and change the figures."""
    return {
        "governor": read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "temperatures_c": temperatures(),
        "load": os.getloadavg()[0],
    }


def facts() -> dict[str, Any]:
    """What the device is, and which runtimes it has."""
    runtimes: dict[str, dict[str, str]] = {}
    for name in RUNTIMES:
        try:
            runtimes[name] = {"version": load_runtime(name)[1]}
        except Exception as error:
            runtimes[name] = {"reason": f"{type(error).__name__}: {error}"}
    return {
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "python": platform.python_version(),
        "runtimes": runtimes,
        **conditions(),
    }


def peak_memory_kb() -> int:
    """Largest resident size of this process so far."""
    for line in (read_text("/proc/self/status") or "").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest // 1024 if sys.platform == "darwin" else largest


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Times a model: one cold run, warm-up runs, then `--runs` timed ones."""
    import numpy

    module, version = load_runtime(options.runtime)
    opener = open_onnx if options.runtime == "onnxruntime" else open_tflite
    before_kb = peak_memory_kb()
    start = time.perf_counter()
    run, feed, shape, dtype = opener(module, options.model, options.threads)
    init_s = time.perf_counter() - start
    generator = numpy.random.default_rng(options.seed)
    if numpy.issubdtype(dtype, numpy.integer):  # an image
        feed(generator.integers(0, 256, shape, numpy.uint8).astype(dtype))
    else:
        feed(generator.standard_normal(shape).astype(dtype))
    start = time.perf_counter()
    run()
    first_s = time.perf_counter() - start
    for _ in range(options.warmup):
        run()
    wall_us: list[float] = []
    cpu_us: list[float] = []
    preempted: list[int] = []
    deadline = time.perf_counter() + options.seconds
    while len(wall_us) < options.runs and time.perf_counter() < deadline:
        switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
        cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
        run()
        wall = time.perf_counter_ns() - wall
        cpu = time.thread_time_ns() - cpu
        wall_us.append(wall / 1000)
        cpu_us.append(cpu / 1000)
        preempted.append(resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - switches)
    return {
        "runtime": options.runtime,
        "version": version,
        "threads": options.threads,
        "input_shape": [int(size) for size in shape],
        "init_ms": init_s * 1000,
        "first_ms": first_s * 1000,
        "wall_us": wall_us,
        "thread_cpu_us": cpu_us,
        "involuntary_switches": preempted,
        "memory_before_kb": before_kb,
        "peak_memory_kb": peak_memory_kb(),
        **conditions(),
    }


def main() -> None:
    """Prints the JSON document and an end mark, without which the output is not whole."""
    parser = argparse.ArgumentParser(description="Times one model on this device.")
    parser.add_argument("model", nargs="?", help="a .tflite or .onnx file; without it: facts")
    parser.add_argument("--runtime", choices=list(RUNTIMES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="stop earlier after this time")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.model is not None and options.runtime is None:
        parser.error("--runtime is needed to time a model")
    document = facts() if options.model is None else measure(options)
    print(json.dumps(document))
    print("edgecmp-runner: end")


if __name__ == "__main__":
    main()
