"""Keeps models loaded in one runtime and times short visits of them on request.

`edgecmp.benchmarks.peers.run` starts one such process per runtime and alternates between them: the
input line "3 40" means "run model 3 for 40 ms", and the answer is a line of JSON with the times.
While one process runs, all others wait for input, so that contenders in different environments are
compared within the same second. Needs torch, numpy, safetensors, rich, and the runtime.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgecmp.benchmarks.devices.on_device.runner import load_runtime

__all__ = ["OPENERS", "main", "settle", "visit"]

WARM_RUNS = 2
"""Runs at the start of a visit that are not timed: another model has filled the caches."""

MINIMUM_RUNS = 3
Model = Callable[[], Any]
"""Runs the model once and returns its output, such as the embedding (1, D)."""


def open_tflite(name: str) -> Callable[[str, Any, int], tuple[Model, str]]:
    """Returns a function that loads files in LiteRT or tflite-runtime."""

    def opener(path: str, image: Any, threads: int) -> tuple[Model, str]:
        module, version = load_runtime(name)
        interpreter = module.Interpreter(model_path=path, num_threads=threads)
        interpreter.allocate_tensors()
        (entry,), (result, *_) = interpreter.get_input_details(), interpreter.get_output_details()
        interpreter.set_tensor(entry["index"], _fitted(image, tuple(entry["shape"])))

        def run() -> Any:
            interpreter.invoke()
            return interpreter.get_tensor(result["index"])

        return run, version

    return opener


def open_onnx(path: str, image: Any, threads: int) -> tuple[Model, str]:
    """Loads a file in the CPU provider of ONNX Runtime."""
    module, version = load_runtime("onnxruntime")
    options = module.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = module.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: image}
    return lambda: session.run(None, inputs)[0], version


def open_torch(path: str, image: Any, threads: int) -> tuple[Model, str]:
    """Loads the network of a folder in eager torch, channels last, in inference mode."""
    import torch

    from edgecmp.benchmarks.peers.convert import load_network

    torch.set_num_threads(threads)
    network = load_network(Path(path)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batch = torch.from_numpy(image).contiguous(memory_format=torch.channels_last)

    def run() -> Any:
        with torch.inference_mode():
            return network(batch)

    return run, str(torch.__version__)


def open_executorch(path: str, image: Any, threads: int) -> tuple[Model, str]:
    """Loads a program in the Python runtime of ExecuTorch."""
    import torch
    from executorch.extension.pybindings import _portable_lib
    from executorch.runtime import Runtime

    _portable_lib._unsafe_reset_threadpool(threads)
    method = Runtime.get().load_program(Path(path)).load_method("forward")
    inputs = [torch.from_numpy(image)]
    return lambda: method.execute(inputs)[0], importlib.metadata.version("executorch")


OPENERS: dict[str, Callable[[str, Any, int], tuple[Model, str]]] = {
    "litert": open_tflite("litert"),
    "tflite-runtime": open_tflite("tflite-runtime"),
    "onnxruntime": open_onnx,
    "torch": open_torch,
    "executorch": open_executorch,
}
"""By runtime: a function (path, image (1, 3, S, S), threads) -> (model, version)."""


def _fitted(image: Any, shape: tuple[int, ...]) -> Any:
    """The image in the layout of the model; noise if the model reads no image."""
    if image.shape == shape:
        return image
    channels_last = np.ascontiguousarray(image.transpose(0, 2, 3, 1))
    if channels_last.shape == shape:
        return channels_last
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def visit(run: Model, milliseconds: float) -> dict[str, Any]:
    """Runs a model for about `milliseconds`; returns times in us and preemptions of each run.

    cpu_us is the processor time of the whole process: with one thread it is close to the time of
    the run on an idle machine, even if other processes used the core in between.
    """
    for _ in range(WARM_RUNS):
        run()
    wall_us: list[float] = []
    cpu_us: list[float] = []
    switches: list[int] = []
    end = time.perf_counter() + milliseconds / 1000
    while len(wall_us) < MINIMUM_RUNS or time.perf_counter() < end:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
        cpu, start = time.process_time_ns(), time.perf_counter_ns()
        run()
        wall_us.append((time.perf_counter_ns() - start) / 1000)
        cpu_us.append((time.process_time_ns() - cpu) / 1000)
        switches.append(resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - before)
    settle()
    return {"wall_us": wall_us, "cpu_us": cpu_us, "involuntary_switches": switches}


def settle(limit_s: float = 0.2) -> None:
    """Waits until the other threads of this process have stopped busy-waiting for work."""
    end = time.perf_counter() + limit_s
    while time.perf_counter() < end:
        busy, since = time.process_time(), time.perf_counter()
        time.sleep(0.004)
        if time.process_time() - busy < 0.2 * (time.perf_counter() - since):
            return


def main() -> None:
    """Loads the models, reports them in one line, then answers requests until the input ends."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runtime", choices=list(OPENERS))
    parser.add_argument("models", nargs="+")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--image", required=True, help=".npy, float32 (1, 3, S, S), normalised")
    given = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")  # runtimes may print; redirect that to stderr
    os.dup2(2, 1)
    image = np.load(given.image, allow_pickle=False)
    models: list[Model] = []
    facts: list[dict[str, Any]] = []
    for path in given.models:
        try:
            run, version = OPENERS[given.runtime](path, image, given.threads)
            embedding = np.asarray(run(), np.float32).reshape(-1)
        except Exception as error:
            first_line = str(error).strip().partition("\n")[0]
            facts.append({"reason": f"{type(error).__name__}: {first_line}"})
            models.append(lambda: None)
            continue
        models.append(run)
        facts.append({"version": version, "embedding": embedding[:4096].tolist()})
    settle()
    print(json.dumps(facts), file=answers, flush=True)
    for line in sys.stdin:
        index, milliseconds = line.split()
        print(json.dumps(visit(models[int(index)], float(milliseconds))), file=answers, flush=True)


if __name__ == "__main__":
    main()
