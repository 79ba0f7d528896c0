"""The program that runs on the device: it times models, or computes their outputs.

It prints JSON, one object per line. It is a single file that needs Python >= 3.8, numpy and a
runtime (LiteRT or tflite-runtime for .tflite, ONNX Runtime for .onnx). It imports nothing from
edgecmp, so it can be copied to a board and run there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

__all__ = [
    "RUNTIMES",
    "TYPES",
    "RefusedError",
    "call_shape",
    "compute",
    "facts",
    "line_of",
    "main",
    "measure",
    "require_image",
    "times",
    "visit",
]

RUNTIMES = {
    "litert": (".tflite", "ai_edge_litert.interpreter", "ai-edge-litert"),
    "tflite-runtime": (".tflite", "tflite_runtime.interpreter", "tflite-runtime"),
    "onnxruntime": (".onnx", "onnxruntime", "onnxruntime"),
}
"""By name: the suffix of the files it loads, its module, its package."""

ARM_CORES = """
d03 Cortex-A53  d04 Cortex-A35  d05 Cortex-A55  d07 Cortex-A57  d08 Cortex-A72  d09 Cortex-A73
d0a Cortex-A75  d0b Cortex-A76  d0c Neoverse-N1 d0d Cortex-A77  d40 Neoverse-V1 d41 Cortex-A78
d44 Cortex-X1   d46 Cortex-A510 d47 Cortex-A710 d48 Cortex-X2   d49 Neoverse-N2 d4d Cortex-A715
d4e Cortex-X3   d4f Neoverse-V2 d80 Cortex-A520 d81 Cortex-A720 d82 Cortex-X4
"""
"""Part numbers of Arm's cores in /proc/cpuinfo, each followed by its name."""

SYSTEM = Path("/sys")
"""Where the kernel reports the governor, the clocks and the temperatures."""

TYPES = ("float32", "float16", "uint8", "int8", "int16")
"""The types of an input that random values are made for."""

CHANNELS = (1, 3, 4)
"""Numbers of channels by which the axis of the channels is recognised."""

LEAST_RUNS = 3
MOST_RUNS = 100
"""Fewest timed runs, however long they take, and most timed runs of one visit."""


def load_runtime(name: str) -> tuple[Any, str]:
    """Imports a runtime: (module, version); an ImportError says why it cannot be used here."""
    import importlib.metadata
    import importlib.util

    import numpy

    _, module, package = RUNTIMES[name]
    numpy_2 = int(numpy.__version__.split(".")[0]) >= 2
    if name == "tflite-runtime" and numpy_2 and importlib.util.find_spec("tflite_runtime"):
        raise ImportError(f"it needs numpy < 2 (installed: {numpy.__version__})")
    return importlib.import_module(module), importlib.metadata.version(package)


class RefusedError(Exception):
    """A file that cannot be run here; the message says why, after the name of the file.

    Args:
        reason: the message.
        by: the runtime whose own message it is, with its version; None if it is ours.
        shape: the shape of the input on which the file did not run; None if it was not loaded.
    """

    def __init__(self, reason: str, by: str | None = None, shape: str | None = None) -> None:
        super().__init__(reason)
        self.by, self.shape = by, shape


def line_of(error: Exception) -> str:
    """The message of an error in one line of at most 2,000 characters."""
    return " ".join(str(error).split())[:2000] or type(error).__name__


def times(shape: Any) -> str:
    """A shape as "1x3x64x64", with "?" for an axis that is free."""
    return "x".join("?" if size is None else str(size) for size in shape)


def call_shape(axes: list[Any], size: Any = None) -> list[int]:
    """The shape of the input of one call.

    Args:
        axes: of the input; None for a free one. A free batch gets 1 image.
        size: height and width of the images; None if only the file may state them.

    Raises:
        RefusedError: the size is missing, or the input has another one or is no image.
    """
    text = times(axes)
    if None not in axes[1:]:
        shape = [axes[0] or 1, *axes[1:]] if axes else []
        if size and (len(shape) != 4 or tuple(size) not in (tuple(shape[1:3]), tuple(shape[2:]))):
            raise RefusedError(f"its input is {text}, so it cannot be timed at {times(size)}")
        return shape
    if len(axes) != 4:
        raise RefusedError(f"its input {text} has free axes and is no batch of images")
    places = [place for place in (1, 3) if axes[place] in CHANNELS]
    if len(places) != 1:
        raise RefusedError(
            f"its input {text} does not show which axis has the channels: write the file with a "
            "fixed number of channels (1, 3 or 4)"
        )
    if not size:
        raise RefusedError(
            f"the height and width of its input {text} are free: name them with --input-size, such "
            "as --input-size 224"
        )
    sides = (2, 3) if places == [1] else (1, 2)
    for place, side in zip(sides, size):  # noqa: B905 - no `strict` in Python 3.8
        if axes[place] not in (None, side):
            raise RefusedError(f"its input is {text}, so it cannot be timed at {times(size)}")
        axes = [*axes[:place], side, *axes[place + 1 :]]
    return [axes[0] or 1, *axes[1:]]


class Model(NamedTuple):
    """A loaded model: `feed` sets its input, `run` computes, `read` returns its first output."""

    run: Any
    feed: Any
    read: Any
    shape: list[int]
    dtype: Any


def require_image(inputs: list[tuple[str, str]]) -> None:
    """Refuses a model without exactly one input of a known type; `inputs` are names and types."""
    listed = ", ".join(f"{name}: {kind}" for name, kind in inputs)
    if len(inputs) != 1:
        raise RefusedError(f"it has {len(inputs)} inputs ({listed}), not one image")
    if inputs[0][1] not in TYPES:
        raise RefusedError(f"its input is {listed}, not an image of {', '.join(TYPES)}")


def open_tflite(module: Any, path: str, threads: int, shaped: Any) -> Model:
    """Loads a .tflite file; `shaped` returns the shape of a call for the axes of its input."""
    import numpy

    interpreter = module.Interpreter(model_path=path, num_threads=threads)
    inputs = interpreter.get_input_details()
    require_image([(entry["name"], numpy.dtype(entry["dtype"]).name) for entry in inputs])
    details = inputs[0]
    fixed = [int(size) for size in details["shape"]]
    signature = [int(size) for size in details.get("shape_signature", ())] or fixed
    shape = shaped([size if size > 0 else None for size in signature])
    if shape != fixed:
        interpreter.resize_tensor_input(details["index"], shape)
    interpreter.allocate_tensors()
    output = interpreter.get_output_details()[0]["index"]

    def feed(values: Any) -> None:
        interpreter.set_tensor(details["index"], values)

    def read() -> Any:
        return interpreter.get_tensor(output)

    return Model(interpreter.invoke, feed, read, shape, details["dtype"])


def open_onnx(module: Any, path: str, threads: int, shaped: Any) -> Model:
    """Loads an ONNX file; `shaped` returns the shape of a call for the axes of its input."""
    import numpy

    options = module.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = module.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    types = {"tensor(float)": "float32"}
    for name in TYPES[1:]:
        types[f"tensor({name})"] = name
    require_image(
        [(entry.name, types.get(entry.type, entry.type)) for entry in session.get_inputs()]
    )
    details = session.get_inputs()[0]
    shape = shaped([size if isinstance(size, int) and size > 0 else None for size in details.shape])
    inputs: dict[str, Any] = {}
    outputs: list[Any] = []

    def feed(values: Any) -> None:
        inputs[details.name] = values

    def run() -> None:
        outputs[:] = session.run(None, inputs)

    return Model(run, feed, lambda: outputs[0], shape, numpy.dtype(types[details.type]))


def open_file(runtime: str, path: str, threads: int, shaped: Any) -> tuple[Model, float]:
    """Loads a model in one of `RUNTIMES`: (model, microseconds without the imports).

    Raises:
        RefusedError: the runtime cannot load it, or it is no network with one image as input.
    """
    module, version = load_runtime(runtime)
    opener = open_onnx if runtime == "onnxruntime" else open_tflite
    start = time.perf_counter_ns()
    try:
        model = opener(module, path, threads, shaped)
    except RefusedError:
        raise
    except Exception as error:
        raise RefusedError(line_of(error), f"{runtime} {version}") from error
    return model, (time.perf_counter_ns() - start) / 1000


def read_text(path: str | Path) -> str | None:
    """The text of a small system file; None if it cannot be read."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def temperatures() -> dict[str, float]:
    """Temperatures in degrees Celsius, by the number and type of the thermal zone."""
    zones = {}
    for zone in sorted((SYSTEM / "class/thermal").glob("thermal_zone*")):
        value = read_text(zone / "temp")
        if value and value.lstrip("-").isdigit():
            zones[f"{zone.name} {read_text(zone / 'type')}"] = int(value) / 1000
    return zones


def arm_cores(cpuinfo: str) -> str:
    """The kinds of cores in an arm64 /proc/cpuinfo, such as "4 Cortex-A55 + 4 Cortex-A76"."""
    words = ARM_CORES.split()
    names = dict(zip(words[::2], words[1::2]))  # noqa: B905 - no `strict` in Python 3.8
    counts: dict[str, int] = {}
    maker = ""
    for line in cpuinfo.splitlines():
        key, _, value = (text.strip() for text in line.partition(":"))
        if key == "CPU implementer":
            maker = value
        elif key == "CPU part":
            known = names.get(value[2:].lower()) if maker == "0x41" else None
            name = known or f"implementer {maker} part {value}"
            counts[name] = counts.get(name, 0) + 1
    if len(counts) == 1:
        return next(iter(counts))
    return " + ".join(f"{count} {name}" for name, count in counts.items())


def frequencies() -> dict[str, int]:
    """The clock in MHz of each core that reports it."""
    clocks = {}
    for core in sorted((SYSTEM / "devices/system/cpu").glob("cpu[0-9]*")):
        value = read_text(core / "cpufreq/scaling_cur_freq")
        if value and value.isdigit():
            clocks[core.name] = int(value) // 1000
    return clocks


def cpu_name() -> str:
    """The processor's name, as the system reports it."""
    text = read_text("/proc/cpuinfo") or ""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return arm_cores(text) or platform.processor() or platform.machine()


def board() -> dict[str, str | None]:
    """The name of the board and its SoC, if the device tree states them."""
    tree = Path("/proc/device-tree")
    model, compatible = (read_text(tree / name) for name in ("model", "compatible"))
    names = (compatible or "").strip("\0").split("\0")
    return {"model": model.strip("\0") if model else None, "soc": names[-1] or None}


def memory_mb() -> int | None:
    """Main memory in MB of 2^20 bytes."""
    match = re.search(r"MemTotal:\s*(\d+) kB", read_text("/proc/meminfo") or "")
    return int(match[1]) // 1024 if match else None


def usable_cores() -> int | None:
    """Cores this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count()


def conditions() -> dict[str, Any]:
    """Conditions that can change between runs and affect the figures."""
    return {
        "governor": read_text(SYSTEM / "devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "temperatures_c": temperatures(),
        "frequencies_mhz": frequencies(),
        "load": os.getloadavg()[0],
    }


def facts() -> dict[str, Any]:
    """Facts about the device, and the runtimes that it has."""
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
        **board(),
        "memory_mb": memory_mb(),
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


def open_model(plan: Any, path: str, size: Any) -> tuple[Any, list[int], float, float]:
    """A function that runs a model on random input, the input's shape, and two times.

    Args:
        plan: its runtime, threads and seed.
        path: of the model.
        size: height and width of the images, or None.

    Returns:
        (run, shape, microseconds to load, microseconds of the first run).

    Raises:
        RefusedError: it cannot be loaded, or does not run on this input.
    """
    import numpy

    model, init_us = open_file(
        plan["runtime"], path, plan["threads"], lambda axes: call_shape(axes, size)
    )
    generator = numpy.random.default_rng(plan["seed"])
    try:
        if numpy.issubdtype(model.dtype, numpy.integer):  # an image or a quantised segment
            limits = numpy.iinfo(model.dtype)
            model.feed(
                generator.integers(limits.min, limits.max, model.shape, model.dtype, endpoint=True)
            )
        else:
            model.feed(generator.standard_normal(model.shape).astype(model.dtype))
        start = time.perf_counter_ns()
        model.run()
    except Exception as error:
        raise RefusedError(line_of(error), plan["runtime"], times(model.shape)) from error
    return model.run, model.shape, init_us, (time.perf_counter_ns() - start) / 1000


def time_runs(run: Any, runs: int, seconds: float, least_seconds: float = 0.0) -> dict[str, Any]:
    """Times `runs` runs, and more until `least_seconds` have passed; none begins after `seconds`.

    All clocks are monotonic, so that setting the system clock does not affect them.
    """
    wall_us: list[float] = []
    cpu_us: list[float] = []
    switches: list[int] = []
    start = time.perf_counter()
    while len(wall_us) < LEAST_RUNS or (
        time.perf_counter() < start + seconds
        and (len(wall_us) < runs or time.perf_counter() < start + least_seconds)
    ):
        switched = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
        cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
        run()
        wall = time.perf_counter_ns() - wall
        cpu = time.thread_time_ns() - cpu
        wall_us.append(wall / 1000)
        cpu_us.append(cpu / 1000)
        switches.append(resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - switched)
    return {
        "seconds": time.perf_counter() - start,
        "wall_us": wall_us,
        "cpu_us": cpu_us,
        "switches": switches,
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Times a model: one cold run, warm-up runs, then `--runs` timed ones.

    Memory is read after the warm-up, since the list of times would add to it later.
    """
    _, version = load_runtime(options.runtime)
    before, memory_before_kb = conditions(), peak_memory_kb()
    run, shape, init_us, first_us = open_model(vars(options), options.model, options.input_size)
    for _ in range(options.warmup):
        run()
    memory_kb = peak_memory_kb()
    timed = time_runs(run, options.runs, options.seconds, options.least_seconds)
    return {
        "runtime": options.runtime,
        "version": version,
        "threads": options.threads,
        "input_shape": shape,
        "init_us": init_us,
        "first_us": first_us,
        **timed,
        "memory_before_kb": memory_before_kb,
        "peak_memory_kb": memory_kb,
        "before": before,
        "after": conditions(),
    }


def visit(plan: dict[str, Any], number: int) -> dict[str, Any]:
    """Loads one model of a plan, times it briefly and releases it."""
    run, _, init_us, first_us = open_model(plan, plan["models"][number], None)
    run()
    timed = time_runs(run, MOST_RUNS, plan["visit_ms"][number] / 1000)
    return {"model": number, "init_us": init_us, "first_us": first_us, **timed}


def compute(options: argparse.Namespace) -> dict[str, Any]:
    """Runs the model on every row of a .npy file and writes its first output to another file.

    Free axes of the model get the sizes of the rows.
    """
    import numpy

    _, version = load_runtime(options.runtime)
    inputs = numpy.load(options.inputs, mmap_mode="r", allow_pickle=False)

    def shaped(axes: list[Any]) -> list[int]:
        sizes = [1, *inputs.shape[1:], *axes[inputs.ndim :]]
        return [size or given for size, given in zip(axes, sizes)]  # noqa: B905

    model, _ = open_file(options.runtime, options.model, options.threads, shaped)
    if list(inputs.shape[1:]) != model.shape[1:] or inputs.dtype != model.dtype:
        wanted = f"{numpy.dtype(model.dtype)} {model.shape[1:]}"
        raise RefusedError(f"it reads {wanted}, not {inputs.dtype} {list(inputs.shape[1:])}")
    rows = []
    for start in range(0, len(inputs), model.shape[0]):
        images = numpy.asarray(inputs[start : start + model.shape[0]])
        missing = model.shape[0] - len(images)  # in the last call of a file with a fixed batch
        images = numpy.concatenate([images, numpy.repeat(images[-1:], missing, axis=0)])
        model.feed(numpy.ascontiguousarray(images))
        model.run()
        rows.append(numpy.array(model.read()))
    numpy.save(options.outputs, numpy.concatenate(rows)[: len(inputs)])
    return {"runtime": options.runtime, "version": version, "rows": len(inputs)}


def pair(text: str) -> tuple[int, int]:
    """Height and width of "64x48"."""
    high, wide = map(int, text.split("x"))
    return high, wide


def limit_memory() -> None:
    """Lets this process take no more memory than is free, and end before others if there is none.

    A damaged file can make a runtime allocate without an end.
    """
    free = re.search(r"MemAvailable:\s*(\d+) kB", read_text("/proc/meminfo") or "")
    pages = (read_text("/proc/self/statm") or "").split()
    if free and pages:
        limit = int(free[1]) * 1024 + int(pages[0]) * resource.getpagesize()
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        if most == resource.RLIM_INFINITY or limit < most:
            resource.setrlimit(resource.RLIMIT_AS, (limit, most))
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        return


def answer(options: argparse.Namespace) -> dict[str, Any]:
    """The last document: facts, times of a model, or what was computed."""
    if options.plan is not None:
        plan = json.loads(Path(options.plan).read_text())
        for number in range(len(plan["models"])):
            print(json.dumps({"visit": visit(plan, number)}), flush=True)
    if options.model is None:
        return facts()
    return measure(options) if options.inputs is None else compute(options)


def main() -> None:
    """Prints JSON documents and then an end mark, which shows that the output is complete."""
    parser = argparse.ArgumentParser(description="Times models on this device.")
    parser.add_argument("model", nargs="?", help="a .tflite or .onnx file; if left out: facts")
    parser.add_argument("--plan", help="a JSON file with the models to visit")
    parser.add_argument("--inputs", help="a .npy file (n, ...) to compute, not to time")
    parser.add_argument("--outputs", help="the .npy file to write with --inputs")
    parser.add_argument("--input-size", type=pair, help="HxW of images whose size is free")
    parser.add_argument("--runtime", choices=list(RUNTIMES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="begin no run after this time")
    parser.add_argument("--least-seconds", type=float, default=0.0, help="run for this time")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.model is not None and options.runtime is None:
        parser.error("a model needs --runtime")
    if (options.inputs is None) != (options.outputs is None):
        parser.error("--inputs and --outputs must be given together")
    limit_memory()
    try:
        document = answer(options)
    except RefusedError as error:
        document = {"refused": str(error), "by": error.by, "shape": error.shape}
    print(json.dumps(document))
    print("edgecmp-runner: end")


if __name__ == "__main__":
    main()
