"""TFLite's benchmark_model: times models on an Android device that has no Python.

It is a program of the TensorFlow project that is not in any package: the user names a file, or an
address to download it from (docs/how-to/android.md names the official one). It does not report
single runs, only a summary of them; see `Summary`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from edgecmp.benchmarks.devices.benchmark_binary import NAME
from edgecmp.benchmarks.devices.errors import DeviceRunError
from edgecmp.benchmarks.devices.on_device.runner import RefusedError, call_shape, require_image
from edgecmp.benchmarks.devices.reasons import DAMAGED
from edgecmp.benchmarks.devices.summary import Summary
from edgecmp.benchmarks.devices.tflite_inputs import tflite_inputs
from edgecmp.errors import UserError
from edgecmp.files import sha256_file

__all__ = ["BenchmarkModel", "Timings", "parse"]

NUMBER = r"([0-9.]+(?:[eE][+-]?[0-9]+)?)"
COUNTS = re.compile(rf"count={NUMBER}((?: [a-z0-9]+={NUMBER})*)")
PAIR = re.compile(rf"([a-z0-9]+)={NUMBER}")
TIMINGS = re.compile(rf"nference timings in us:.* Init: {NUMBER}")
PEAKS = (
    re.compile(rf"Overall peak memory footprint \(MB\) via periodic monitoring: {NUMBER}"),
    re.compile(rf"[Mm]emory footprint delta from the start of the tool \(MB\):.*overall={NUMBER}"),
    re.compile(rf"Peak memory footprint \(MB\):.*overall={NUMBER}"),
)
"""Three phrasings. The first is the peak of the process; the others are its growth."""

MERGED = ("sh", "-c", 'exec "$0" "$@" 2>&1')
"""Merges stderr into stdout, since versions of the program differ in which one they log to."""

REFUSED_BY_DELEGATE = "will not be executed by the delegate"
ERRORS = re.compile(r"(?:ERROR|FATAL)[:!]? *(.*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Timings:
    """The figures that one run of the program printed.

    Attributes:
        summary: summary of the timed runs.
        init_us: time to load the model.
        first_us: time of the first, cold run.
        peak_memory_kb: peak resident size; None if it was not monitored.
        memory_growth_kb: growth of the process, or None.
    """

    summary: Summary
    init_us: float
    first_us: float
    peak_memory_kb: float | None
    memory_growth_kb: float | None


def parse(output: str) -> Timings:
    """Reads the output of benchmark_model, in every form since 2018.

    Raises:
        UserError: the delegate did not execute the model, which ran on the processor instead.
        DeviceRunError: the output is incomplete or of an unknown form.
    """
    if REFUSED_BY_DELEGATE in output:
        raise UserError(
            f"The delegate of this {NAME} cannot execute the model, so the processor would be "
            "timed instead.",
            f"Name a {NAME} that does not apply a delegate by default.",
        )
    counts = COUNTS.findall(output)
    timings = TIMINGS.search(output)
    if len(counts) < 2 or timings is None:
        raise DeviceRunError(f"the output of {NAME} is incomplete or of an unknown form", output)
    warmup, values = (
        {key: float(value) for key, value in PAIR.findall(rest)} for _, rest, *_ in counts[-2:]
    )
    only = values.get("curr", 0.0)  # one figure is printed if all runs took the same time
    peak, *growths = (_megabytes(form, output) for form in PEAKS)
    return Timings(
        summary=Summary(
            runs=int(float(counts[-1][0])),
            mean_us=values.get("avg", only),
            min_us=values.get("min", only),
            p50_us=values.get("median"),
            p95_us=values.get("p95"),
        ),
        init_us=float(timings[1]),
        first_us=warmup.get("first", warmup.get("curr", 0.0)),
        peak_memory_kb=peak,
        memory_growth_kb=next((value for value in growths if value is not None), None),
    )


def _megabytes(form: re.Pattern[str], output: str) -> float | None:
    match = form.search(output)
    return float(match[1]) * 1024 if match else None


class _Shell(Protocol):
    """The methods of a device that are used here."""

    def push(self, path: Path) -> str: ...

    def run(self, command: Sequence[str], *, timeout_s: float = 600.0) -> str: ...


class BenchmarkModel:
    """The program on one device.

    Attributes:
        version: the first digits of the file's SHA-256, since the program does not state a version.

    Raises:
        UserError: the device has no room for the program.
        DeviceRunError: the program cannot be made executable.
    """

    def __init__(self, device: _Shell, binary: Path) -> None:
        self.version = f"sha256 {sha256_file(binary)[:12]}"
        self._device = device
        self._program = device.push(binary)
        self._memory: dict[tuple[str, int], float | None] = {}
        device.run(["chmod", "755", self._program])

    def time(
        self,
        model: Path,
        *,
        threads: int,
        runs: int,
        seconds: float,
        least_seconds: float = 0.0,
        input_size: tuple[int, int] | None = None,
    ) -> dict[str, Any]:
        """Times a model: one cold run, 3 warm-up runs, then timed runs, as the runner does.

        Returns:
            The runner's document, in which "wall_us", "cpu_us" and "switches" are None and
            "summary" replaces them.

        Raises:
            DeviceRunError: the program refuses the model or was ended, or the file is damaged or
                no network with one image as input.
        """
        shape, sized = _input_flags(model.read_bytes(), input_size)
        timings = self._run(
            self._device.push(model),
            threads,
            *sized,
            f"--num_runs={runs}",
            f"--min_secs={least_seconds:g}",
            f"--max_secs={seconds:g}",
            "--warmup_runs=4",
            "--warmup_min_secs=0",
            timeout_s=600.0 + seconds,
        )
        peak_kb = timings.peak_memory_kb or self._peak_memory(model, threads, sized)
        return {
            "runtime": NAME,
            "version": self.version,
            "threads": threads,
            "input_shape": shape,
            "init_us": timings.init_us,
            "first_us": timings.first_us,
            "seconds": timings.summary.runs * timings.summary.mean_us / 1e6,
            "wall_us": None,
            "cpu_us": None,
            "switches": None,
            "summary": asdict(timings.summary),
            "memory_before_kb": None,
            "memory_growth_kb": timings.memory_growth_kb,
            "peak_memory_kb": peak_kb,
        }

    def visit(self, model: Path, *, threads: int, visit_ms: float) -> Timings:
        """Times a model briefly, for at least 3 runs, as the runner does in a visit."""
        return self._run(
            self._device.push(model),
            threads,
            "--num_runs=3",
            f"--min_secs={visit_ms / 1000:g}",
            "--warmup_runs=2",
            "--warmup_min_secs=0",
            timeout_s=300.0,
        )

    def _peak_memory(self, model: Path, threads: int, sized: Sequence[str]) -> float | None:
        """Peak memory in a separate process, since monitoring would disturb the timed one."""
        remote = self._device.push(model)
        if (remote, threads) not in self._memory:
            try:
                kilobytes = self._run(
                    remote,
                    threads,
                    *sized,
                    "--num_runs=3",
                    "--min_secs=0",
                    "--report_peak_memory_footprint=true",
                    "--memory_footprint_check_interval_ms=5",
                    timeout_s=300.0,
                ).peak_memory_kb
            except DeviceRunError:  # older versions do not know the flag
                kilobytes = None
            self._memory[remote, threads] = kilobytes
        return self._memory[remote, threads]

    def _run(self, remote: str, threads: int, *flags: str, timeout_s: float) -> Timings:
        command = [self._program, f"--graph={remote}", f"--num_threads={threads}", *flags]
        try:
            output = self._device.run([*MERGED, *command], timeout_s=timeout_s)
            return parse(output)
        except DeviceRunError as error:
            messages = [text.strip() for text in ERRORS.findall(error.output)]
            first = next((text for text in messages if text and text != "Benchmarking failed."), "")
            code = re.search(r"\(exit code \d+\)$", str(error))
            if first and code:
                reason = f"{first.rstrip('.').replace(remote, Path(remote).name)} {code[0]}"
                raise DeviceRunError(reason, error.output) from error
            raise


def _input_flags(
    data: bytes, input_size: tuple[int, int] | None
) -> tuple[list[int], tuple[str, ...]]:
    """The shape of the input of one call, and the flags that a file with free axes needs.

    Without them the program gives each free axis the size 1.
    """
    try:
        inputs = tflite_inputs(data)
        require_image([(found.name, found.type) for found in inputs])
        axes = inputs[0].axes
        shape = call_shape(list(axes), input_size)
    except ValueError as error:
        raise DeviceRunError(DAMAGED) from error
    except RefusedError as error:
        raise DeviceRunError(str(error)) from error
    if None not in axes[1:]:
        return shape, ()
    sizes = ",".join(map(str, shape))
    return shape, (f"--input_layer={inputs[0].name}", f"--input_layer_shape={sizes}")
