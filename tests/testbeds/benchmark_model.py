"""A stand-in for TFLite's benchmark_model, which is in no package: the same flags and output.

It really times the model, in a Python runtime. `program` makes it an executable that begins as
the real one does (ELF, for this machine's processor) and hands over to this file.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import signal
import struct
import sys
import time
from pathlib import Path, PurePath

__all__ = ["CODE", "elf", "launcher", "program"]

CODE = {
    # (argc at the stack pointer) argv -> execve(path behind the code, argv, environment), else 127
    "x86_64": (
        62,
        bytes.fromhex("488b0424 488d742408 488d54c608 488d3d13000000 b83b000000 0f05 bf7f000000")
        + bytes.fromhex("b83c000000 0f05"),
    ),
    "aarch64": (
        183,
        struct.pack(
            "<10I",
            *(0xF94003E0, 0x910023E1, 0x8B000C22, 0x91002042, 0x100000C0),
            *(0xD2801BA8, 0xD4000001, 0xD2800FE0, 0xD2800BA8, 0xD4000001),
        ),
    ),
}
"""By machine: its number in an ELF header, and a program that executes the path behind it."""


def elf(machine: int, code: bytes) -> bytes:
    """A program of one loaded segment that begins with that code."""
    start, base = 64 + 56, 0x400000
    size = start + len(code)
    header = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header += struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, base + start, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000) + code


def program(path: Path, *, form: str = "new", fault: str = "none") -> Path:
    """Writes the executable, and beside it the script that it hands over to.

    Args:
        path: of the executable.
        form: "new", "middle" or "old" output.
        fault: "delegate", "killed" or "none".
    """
    script = path.with_name(path.name + ".sh")
    words = f"{sys.executable} {Path(__file__).resolve()} --form={form} --fault={fault}"
    script.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    script.chmod(0o755)
    return launcher(path, script, platform.machine())


def launcher(path: Path, script: PurePath, machine: str) -> Path:
    """Writes an executable of that machine that hands over to a script there."""
    number, code = CODE[machine]
    path.write_bytes(elf(number, code + bytes(script) + b"\0"))
    path.chmod(0o755)
    return path


def flag(text: str) -> bool:
    return text == "true"


def counts(times: list[int], form: str) -> str:
    """The line that sums up a series of runs."""
    head = f"count={len(times)}"
    percentiles = ""
    if form == "new":
        ordered = sorted(times)
        p5, median, p95 = (ordered[int(part * len(times))] for part in (0.05, 0.5, 0.95))
        percentiles = f" p5={p5} median={median} p95={p95}"
    if min(times) == max(times):
        same = " (all same)" if len(times) > 1 else ""
        return f"{head} curr={times[-1]}{same}{percentiles}"
    mean = sum(times) / len(times)
    spread = (sum((value - mean) ** 2 for value in times) / len(times)) ** 0.5
    return (
        f"{head} first={times[0]} curr={times[-1]} min={min(times)} max={max(times)} "
        f"avg={mean:.6g} std={spread:.0f}{percentiles}"
    )


def main() -> int:
    """Times the model as the real program does and prints what it prints."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--form", default="new")
    parser.add_argument("--fault", default="none")
    parser.add_argument("--graph", required=True)
    parser.add_argument("--num_threads", type=int, default=1)
    parser.add_argument("--num_runs", type=int, default=50)
    parser.add_argument("--min_secs", type=float, default=1.0)
    parser.add_argument("--max_secs", type=float, default=150.0)
    parser.add_argument("--warmup_runs", type=int, default=1)
    parser.add_argument("--warmup_min_secs", type=float, default=0.5)
    parser.add_argument("--input_layer")
    parser.add_argument("--input_layer_shape")
    parser.add_argument("--report_peak_memory_footprint", type=flag, default=False)
    parser.add_argument("--memory_footprint_check_interval_ms", type=int, default=50)
    options = parser.parse_args()
    form, prefix = options.form, "INFO: " if options.form == "new" else ""

    def log(text: str) -> None:
        print(prefix + text, flush=True)

    log("STARTING!")
    if form == "old" and options.report_peak_memory_footprint:
        print("ERROR: Benchmarking failed.", file=sys.stderr)
        return 1
    log(f"Graph: [{options.graph}]")
    if options.fault == "delegate":
        log(
            "Though NNAPI delegate is explicitly applied, the model graph will not be executed by "
            "the delegate."
        )
    if options.fault == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        from tflite_runtime.interpreter import Interpreter
    except ImportError:
        from ai_edge_litert.interpreter import Interpreter

    start = time.perf_counter_ns()
    try:
        interpreter = Interpreter(model_path=options.graph, num_threads=options.num_threads)
        if options.input_layer is not None:
            (only,) = interpreter.get_input_details()
            if only["name"] != options.input_layer:
                raise ValueError("another name")
            shape = [int(size) for size in options.input_layer_shape.split(",")]
            interpreter.resize_tensor_input(only["index"], shape)
        interpreter.allocate_tensors()
    except Exception:
        print(f"ERROR: Failed to load model {options.graph}", file=sys.stderr)
        print("ERROR: Benchmarking failed.", file=sys.stderr)
        return 1
    init_us = (time.perf_counter_ns() - start) // 1000
    log(f"Loaded model {options.graph}")
    log(f"The input model file size (MB): {Path(options.graph).stat().st_size / 1e6:.6g}")
    log(f"Initialized session in {init_us / 1000:.6g}ms.")

    def series(runs: int, least_s: float) -> list[int]:
        log(
            f"Running benchmark for at least {runs} iterations and at least {least_s:g} seconds "
            f"but terminate if exceeding {options.max_secs:g} seconds."
        )
        times: list[int] = []
        began = time.perf_counter()
        while (
            len(times) < runs or time.perf_counter() - began < least_s
        ) and time.perf_counter() - began <= options.max_secs:
            before = time.perf_counter_ns()
            interpreter.invoke()
            times.append((time.perf_counter_ns() - before) // 1000)
        log(counts(times, form) + "\n")
        return times

    warmup = series(options.warmup_runs, options.warmup_min_secs)
    timed = series(options.num_runs, options.min_secs)
    mean, warm = sum(timed) / len(timed), sum(warmup) / len(warmup)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if form == "old":
        log(
            f"Average inference timings in us: Warmup: {warm:.6g}, Init: {init_us}, "
            f"no stats: {mean:.6g}"
        )
        return 0
    log(
        f"Inference timings in us: Init: {init_us}, First inference: {warmup[0]}, "
        f"Warmup (avg): {warm:.6g}, Inference (avg): {mean:.6g}"
    )
    log(
        "Note: as the benchmark tool itself affects memory footprint, the following is only "
        "APPROXIMATE to the actual memory footprint of the model at runtime. Take the information "
        "at your discretion."
    )
    if form == "middle":
        log(f"Peak memory footprint (MB): init=1.5 overall={peak_mb / 4:.6g}")
        return 0
    delta = "Memory footprint delta from the start of the tool (MB)"
    log(f"{delta}: init=1.5 overall={peak_mb / 4:.6g}")
    if options.report_peak_memory_footprint:
        log(f"Overall peak memory footprint (MB) via periodic monitoring: {peak_mb:.6g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
