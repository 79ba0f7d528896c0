"""The time of every operator of a .tflite file, measured by LiteRT's own profiler.

    python -m edgecmp.benchmarks.bench.operator_times FILE.tflite
    python -m edgecmp.benchmarks.bench.operator_times FILE.tflite --runs 200 --top 30

The file runs with one thread. Each time is the mean over the faster half of the runs. XNNPACK
truncates its times to whole microseconds, so 0.5 is added to the time of each of its operators. It
names an operator after its kernel; the convolutions in the file are matched to these kernels by
their order, which provides their shapes and GFLOP/s. The time that no operator accounts for is the
interpreter's own.
"""

from __future__ import annotations

import argparse
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgecmp.benchmarks.bench.convolutions import CONVOLUTIONS, read_convolutions
from edgecmp.benchmarks.bench.operators import Operator, Profile, table
from edgecmp.benchmarks.devices import Device, DeviceRunError, LocalDevice
from edgecmp.benchmarks.devices.on_device import litert_profiler
from edgecmp.benchmarks.devices.on_device.litert_profiler import BUILT_IN, DELEGATED, WHOLE
from edgecmp.errors import UserError

__all__ = ["main", "profile"]

CUT_OFF = 0.5
"""Microseconds that XNNPACK's profiler truncates from the time of an operator, on average."""

Event = tuple[str, int, float]
"""Name, type and microseconds, as `litert_profiler.record` returns them."""


def profile(path: str | Path, *, runs: int = 50, device: Device | None = None) -> Profile:
    """Runs a .tflite file with one input and one output, 1 thread, and times its operators.

    Args:
        path: the file, on this machine.
        runs: number of profiled runs.
        device: where it runs, with Python and ai-edge-litert; this machine if None.

    Raises:
        UserError: the file is missing, LiteRT cannot profile it there, or `runs` is below 1.
    """
    if runs < 1:
        raise UserError(f"--runs must be at least 1 (got {runs}).", "Use --runs 50.")
    if not Path(path).exists():
        raise UserError(f"{path} does not exist.", "Write it with `edgecmp export`.")
    machine = device or LocalDevice()
    try:
        program = Path(litert_profiler.__file__)
        recorded = machine.run_runner(machine.push(Path(path)), str(runs), program=program)
    except DeviceRunError as error:
        raise UserError(
            f"LiteRT cannot profile {path} on {machine.name} ({error}).",
            "Install ai-edge-litert 2.3 there and profile a file that `edgecmp export` wrote.",
        ) from error
    operators, whole_us = _timed_operators(recorded["events"], runs)
    try:
        convolutions = read_convolutions(Path(path))
    except (LookupError, ValueError, TypeError, AttributeError, struct.error):
        convolutions = []  # of a file that LiteRT runs, and whose layers are laid out otherwise
    return Profile(operators=tuple(_described(operators, convolutions)), whole_us=whole_us)


def _timed_operators(events: Sequence[Event], runs: int) -> tuple[list[Operator], float]:
    """The operators as the profiler names them, and the time of a whole run in microseconds.

    Both times are means over the faster half of the runs.
    """
    whole = np.array([us for tag, kind, us in events if kind == WHOLE and tag == "Invoke"])
    own = [event for event in events if event[1] in (BUILT_IN, DELEGATED)]
    times = np.array([us for _, _, us in own]).reshape(runs, len(own) // runs)
    faster = np.argsort(whole)[: (runs + 1) // 2]
    operators = [
        Operator(
            kind=tag,
            time_us=float(time_us) + CUT_OFF * (kind == DELEGATED),
            delegated=kind == DELEGATED,
        )
        for (tag, kind, _), time_us in zip(own, times[faster].mean(axis=0), strict=False)
    ]
    return operators, float(whole[faster].mean())


def _described(operators: Sequence[Operator], convolutions: Sequence[Operator]) -> list[Operator]:
    """The operators, with kind, name, shape and MACs where they are convolutions.

    Where the profiler's kernels and the file's convolutions do not correspond one to one, the
    operators remain as they are.
    """
    described = list(operators)
    places = [place for place, operator in enumerate(operators) if _convolves(operator.kind)]
    pairs = list(zip(places, convolutions, strict=False))
    if len(places) == len(convolutions) and all(
        ("DWConv" in operators[place].kind) == known.kind.startswith("depthwise")
        for place, known in pairs
    ):
        for place, known in pairs:
            own = operators[place]
            described[place] = replace(known, time_us=own.time_us, delegated=own.delegated)
    return described


def _convolves(tag: str) -> bool:
    return tag.startswith(("Convolution", "Fully Connected", *CONVOLUTIONS))


def main(arguments: Sequence[str] | None = None) -> None:
    """Profiles one file and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help=".tflite")
    parser.add_argument("--runs", type=int, default=50, help="profiled runs (default 50)")
    parser.add_argument("--top", type=int, default=15, help="operators to list (default 15)")
    chosen = parser.parse_args(arguments)
    print(table(profile(chosen.file, runs=chosen.runs), chosen.top))


if __name__ == "__main__":
    main()
