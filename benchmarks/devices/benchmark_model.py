"""TFLite's benchmark_model: times models on an Android device that has no Python.

It is a program of the TensorFlow project that is not in any package: the user names a file, or an
address to download it from (docs/how-to/android.md names the official one). It does not report
single runs, only a summary of them; see `Summary`.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from edgecmp.benchmarks.devices.errors import DeviceRunError
from edgecmp.benchmarks.devices.summary import Summary
from edgecmp.errors import UserError
from edgecmp.files import sha256_file, write_atomic
from edgecmp.progress import say

__all__ = ["NAME", "BenchmarkModel", "Timings", "find_binary", "parse", "require_abi"]

NAME = "benchmark_model"
"""Name of this runtime in reports."""

MACHINES = {
    183: ("arm64-v8a", "aarch64"),
    40: ("armeabi-v7a", "armv7l", "armv8l"),
    62: ("x86_64",),
    3: ("x86", "i686"),
    243: ("riscv64",),
}
"""By the machine number of an ELF header: its names in Android and in `uname -m`."""

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


def find_binary(text: str) -> Path:
    """The program on this machine: a path, or a copy downloaded from an http(s) address.

    The copy is kept in `~/.cache/edgecmp` (or XDG_CACHE_HOME) and reused.

    Raises:
        UserError: there is no such file, or the download failed.
    """
    if not text.startswith(("http://", "https://")):
        path = Path(text).expanduser()
        if not path.is_file():
            raise UserError(
                f"?{NAME} does not name a file (got {text or 'an empty path'}).",
                f"Write ?{NAME}=PATH or ?{NAME}=https://... (docs/how-to/android.md says where to "
                "get it).",
            )
        return path
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "edgecmp"
    path = cache / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}-{NAME}"
    if not path.exists():
        say(f"Downloading {text}")
        try:
            with urllib.request.urlopen(text, timeout=60) as answer:
                data = answer.read()
        except (OSError, ValueError, http.client.HTTPException) as error:
            cut = isinstance(error, http.client.IncompleteRead)
            reason = "it was cut off" if cut else getattr(error, "reason", None) or error
            raise UserError(
                f"{text} cannot be downloaded ({reason}).",
                f"Download it yourself and write ?{NAME}=PATH.",
            ) from error
        _machine(data[:20], text)
        write_atomic(path, data)
    return path


def _machine(header: bytes, name: str) -> int:
    """The machine number in the first 20 bytes of a program."""
    if len(header) < 20 or header[:4] != b"\x7fELF":
        raise UserError(
            f"{name} is not an Android program: it has no ELF header.",
            f"Name the {NAME} binary itself, not an archive, an .apk or a web page.",
        )
    return int.from_bytes(header[18:20], "little")


def require_abi(path: Path, abis: Sequence[str], device: str) -> None:
    """Refuses a program that was built for another processor.

    Args:
        path: the program, on this machine.
        abis: ABIs that the device supports: "arm64-v8a", "armeabi-v7a", ...
        device: name of the device, for the message.

    Raises:
        UserError: it was built for another processor, or is not a program.
    """
    with path.open("rb") as file:
        machine = _machine(file.read(20), str(path))
    names = MACHINES.get(machine, (f"ELF machine {machine}",))
    if not set(names) & set(abis):
        raise UserError(
            f"{path.name} was built for {names[0]}, but {device} runs {', '.join(abis)}.",
            f"Name a {NAME} built for {abis[0] if abis else 'this device'}.",
        )


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
        self, model: Path, *, threads: int, runs: int, seconds: float, least_seconds: float = 0.0
    ) -> dict[str, Any]:
        """Times a model: one cold run, 3 warm-up runs, then timed runs, as the runner does.

        Returns:
            The runner's document, in which "wall_us", "cpu_us" and "switches" are None and
            "summary" replaces them.

        Raises:
            DeviceRunError: the program refuses the model, or was ended.
        """
        timings = self._run(
            self._device.push(model),
            threads,
            f"--num_runs={runs}",
            f"--min_secs={least_seconds:g}",
            f"--max_secs={seconds:g}",
            "--warmup_runs=4",
            "--warmup_min_secs=0",
            timeout_s=600.0 + seconds,
        )
        peak_kb = timings.peak_memory_kb or self._peak_memory(model, threads)
        return {
            "runtime": NAME,
            "version": self.version,
            "threads": threads,
            "input_shape": None,
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

    def _peak_memory(self, model: Path, threads: int) -> float | None:
        """Peak memory in a separate process, since monitoring would disturb the timed one."""
        remote = self._device.push(model)
        if (remote, threads) not in self._memory:
            try:
                kilobytes = self._run(
                    remote,
                    threads,
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
