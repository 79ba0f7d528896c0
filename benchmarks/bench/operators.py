"""The operators of one .tflite file with their times, and the table that summarises them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Operator", "Profile", "table"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Operator:
    """One operator of a file.

    Attributes:
        kind: what it computes, such as "conv 1x1" or "Slice (ND, X32)".
        name: name of its output tensor, if known.
        shape: shape of that tensor, (N, H, W, C) or (N, C).
        time_us: per run; `edgecmp.benchmarks.bench.operator_times` says how it is measured.
        macs: multiply-adds per run, if known; otherwise 0.
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
        """Billions of floating-point operations per second; 0 where unknown."""
        return 2 * self.macs / self.time_us / 1000 if self.time_us else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """The operators of one file in the order in which they run, and the time of a whole run."""

    operators: tuple[Operator, ...]
    whole_us: float

    def by_kind(self) -> dict[str, Operator]:
        """The sum over the operators of each kind, the slowest kind first."""
        groups: defaultdict[str, list[Operator]] = defaultdict(list)
        for operator in self.operators:
            groups[operator.kind].append(operator)
        sums = {
            kind: Operator(
                kind=kind,
                name=f"{len(group)} operator{'s' * (len(group) != 1)}",
                time_us=sum(operator.time_us for operator in group),
                macs=sum(operator.macs for operator in group),
            )
            for kind, group in groups.items()
        }
        return dict(sorted(sums.items(), key=lambda item: -item[1].time_us))

    @property
    def partitions(self) -> int:
        """The number of uninterrupted series of operators that XNNPACK runs."""
        delegated = [False, *(operator.delegated for operator in self.operators)]
        return sum(after and not before for before, after in pairwise(delegated))


def table(measured: Profile, top: int) -> str:
    """The kinds of operator, then the `top` slowest operators, each with its share of a run."""
    kinds = measured.by_kind()
    accounted = sum(operator.time_us for operator in kinds.values())
    between = Operator(kind="(between operators)", time_us=measured.whole_us - accounted)
    partitions = measured.partitions
    lines = [
        f"{measured.whole_us:.0f} us per run, {len(measured.operators)} operators, "
        f"{partitions} partition{'s' * (partitions != 1)} of XNNPACK",
        f"{'kind':36}{'us':>9}{'share':>8}{'GFLOP/s':>9}",
        *(_line(operator, measured.whole_us) for operator in kinds.values()),
        _line(between, measured.whole_us),
        "",
    ]
    slowest = sorted(measured.operators, key=lambda operator: -operator.time_us)[:top]
    return "\n".join([*lines, *(_line(operator, measured.whole_us) for operator in slowest)])


def _line(operator: Operator, whole_us: float) -> str:
    rate = f"{operator.gflops:9.1f}" if operator.macs else " " * 9
    shape = "x".join(str(size) for size in operator.shape[1:])
    runs_in = "" if operator.delegated else "  not in XNNPACK"
    share = operator.time_us / whole_us
    text = f"{operator.kind:36}{operator.time_us:9.1f}{share:8.1%}{rate}  {operator.name} {shape}"
    return text.rstrip() + runs_in
