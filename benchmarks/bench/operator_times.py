"""Where the time of a .tflite file goes: every operator, as LiteRT's own profiler sees it.

    python -m edgecmp.benchmarks.bench.operator_times FILE.tflite
    python -m edgecmp.benchmarks.bench.operator_times FILE.tflite --runs 200 --top 30

One thread. A time is the mean over the faster half of the runs. XNNPACK cuts off fractions of a
microsecond, so half of one is added to each of its operators. It names an operator after its
kernel; the file's convolutions are found among them by their order, which gives their shapes and
GFLOP/s. The time that no operator accounts for is the interpreter's own.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecmp.benchmarks.devices import Device, DeviceRunError, LocalDevice
from edgecmp.benchmarks.devices.on_device import litert_profiler
from edgecmp.benchmarks.devices.on_device.litert_profiler import BUILT_IN, DELEGATED, WHOLE
from edgecmp.errors import UserError

__all__ = ["Operator", "Profile", "main", "profile", "table"]

CUT_OFF = 0.5
"""Microseconds that XNNPACK's profiler drops from an operator, on average."""

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


@dataclass(frozen=True, kw_only=True, slots=True)
class Operator:
    """One operator of a run.

    Attributes:
        kind: what it does, such as "conv 1x1" or "Slice (ND, X32)".
        name: of the tensor it gives, where that is known.
        shape: of that tensor, (N, H, W, C) or (N, C).
        time_us: of one run; see the module's text.
        macs: multiplications and additions of one run, where they are known.
        delegated: whether XNNPACK runs it.
    """

    kind: str
    name: str = ""
    shape: tuple[int, ...] = ()
    time_us: float
    macs: int = 0
    delegated: bool = True

    @property
    def gflops(self) -> float:
        """Billions of floating-point operations a second; 0 where unknown."""
        return 2 * self.macs / self.time_us / 1000 if self.time_us else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """The operators of one file in the order they run, and the time of a whole run."""

    operators: tuple[Operator, ...]
    whole_us: float

    def by_kind(self) -> dict[str, Operator]:
        """The operators of each kind added up, the slowest kind first."""
        groups: defaultdict[str, list[Operator]] = defaultdict(list)
        for operator in self.operators:
            groups[operator.kind].append(operator)
        sums = {
            kind: Operator(
                kind=kind,
                name=f"{len(group)} of them",
                time_us=sum(operator.time_us for operator in group),
                macs=sum(operator.macs for operator in group),
            )
            for kind, group in groups.items()
        }
        return dict(sorted(sums.items(), key=lambda item: -item[1].time_us))


def profile(path: str | Path, *, runs: int = 50, device: Device | None = None) -> Profile:
    """Runs a .tflite file with one input and one output, 1 thread, and times its operators.

    Args:
        path: the file, here.
        runs: profiled runs.
        device: where it runs, with Python and ai-edge-litert; this machine if not given.

    Raises:
        UserError: the file is missing, LiteRT cannot profile it there, or there are no runs.
    """
    if runs < 1:
        raise UserError(f"A profile needs at least one run, not {runs}.", "Use --runs 50.")
    if not Path(path).exists():
        raise UserError(f"{path} does not exist.", "Write it with `edgecmp export`.")
    machine = device or LocalDevice()
    try:
        program = Path(litert_profiler.__file__)
        recorded = machine.run_runner(machine.push(Path(path)), str(runs), program=program)
    except DeviceRunError as error:
        raise UserError(
            f"LiteRT cannot profile {path} on {machine.name} ({error}).",
            "Profile an edgecmp export with ai-edge-litert 2.3.",
        ) from error
    events = [(tag, kind, time_us) for tag, kind, time_us in recorded["events"]]
    whole = np.array([us for tag, kind, us in events if kind == WHOLE and tag == "Invoke"])
    events = [event for event in events if event[1] in (BUILT_IN, DELEGATED)]
    times = np.array([time_us for _, _, time_us in events]).reshape(runs, len(events) // runs)
    faster = np.argsort(whole)[: math.ceil(runs / 2)]
    convolutions = _convolutions(Path(path))
    operators = [
        Operator(
            kind=tag,
            time_us=float(time_us) + CUT_OFF * (kind == DELEGATED),
            delegated=kind == DELEGATED,
        )
        for (tag, kind, _), time_us in zip(events, times[faster].mean(axis=0), strict=False)
    ]
    found = [index for index, operator in enumerate(operators) if _convolves(operator.kind)]
    pairs = list(zip(found, convolutions, strict=False))
    if len(found) == len(convolutions) and all(
        ("DWConv" in operators[index].kind) == operator.kind.startswith("depthwise")
        for index, operator in pairs
    ):
        for index, known in pairs:
            operators[index] = Operator(
                kind=known.kind,
                name=known.name,
                shape=known.shape,
                macs=known.macs,
                time_us=operators[index].time_us,
                delegated=operators[index].delegated,
            )
    return Profile(operators=tuple(operators), whole_us=float(whole[faster].mean()))


def _convolves(tag: str) -> bool:
    return tag.startswith(("Convolution", "Fully Connected", *CONVOLUTIONS))


def _convolutions(path: Path) -> list[Operator]:
    """What the file's convolutions and linear layers are, in the file's order; times are 0."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph = model.subgraphs[0]
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    found = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        if name not in CONVOLUTIONS:
            continue
        weight, result = (graph.tensors[i] for i in (operator.inputs[1], operator.outputs[0]))
        shape = tuple(int(size) for size in result.shape)
        taps = math.prod(int(size) for size in weight.shape[1:])
        kind = "linear"
        if name != "FULLY_CONNECTED":
            options = operator.builtinOptions
            stride, dilation = options.strideW, options.dilationWFactor
            size = "x".join(str(size) for size in weight.shape[1:3])
            kind = f"conv {size}"
            if name.startswith("DEPTHWISE"):
                taps //= shape[-1]
                kind = f"depthwise {size}"
            kind += f" stride {stride}" * (stride > 1) + f" dilation {dilation}" * (dilation > 1)
        macs = math.prod(shape) * taps
        found.append(
            Operator(kind=kind, name=result.name.decode(), shape=shape, macs=macs, time_us=0.0)
        )
    return found


def table(measured: Profile, top: int) -> str:
    """The kinds, then the `top` slowest operators, each with its share of a run."""
    kinds = measured.by_kind()
    accounted = sum(operator.time_us for operator in kinds.values())
    partitions = sum(
        after.delegated and not before.delegated
        for before, after in zip(
            (Operator(kind="", time_us=0, delegated=False), *measured.operators),
            measured.operators,
            strict=False,
        )
    )
    lines = [
        f"{measured.whole_us:.0f} us a run, {len(measured.operators)} operators, "
        f"{partitions} partition{'s' * (partitions != 1)} of XNNPACK",
        f"{'kind':36}{'us':>9}{'share':>8}{'GFLOP/s':>9}",
        *(_line(operator, measured.whole_us) for operator in kinds.values()),
        _line(Operator(kind="(between)", time_us=measured.whole_us - accounted), measured.whole_us),
        "",
    ]
    slowest = sorted(measured.operators, key=lambda operator: -operator.time_us)[:top]
    return "\n".join([*lines, *(_line(operator, measured.whole_us) for operator in slowest)])


def _line(operator: Operator, whole_us: float) -> str:
    rate = f"{operator.gflops:9.1f}" if operator.macs else " " * 9
    shape = "x".join(str(size) for size in operator.shape[1:])
    what = "" if operator.delegated else "  not in XNNPACK"
    share = operator.time_us / whole_us
    text = f"{operator.kind:36}{operator.time_us:9.1f}{share:8.1%}{rate}  {operator.name} {shape}"
    return text.rstrip() + what


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
