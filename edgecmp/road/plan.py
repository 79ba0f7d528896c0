"""The plan: what each station does and how many seconds it has, so that they add up to the time."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from edgecmp.road.costs import Costs
from edgecmp.road.division import SIZES, Division, Planned

__all__ = ["SKIPPABLE", "STATIONS", "Plan", "make_plan"]

STATIONS = (
    *("index", "supernet", "search", "finalists", "query"),
    *("eval", "export", "parity", "bench", "report"),
)
"""In their order."""

SKIPPABLE = ("supernet", "search", "finalists", "parity", "bench")
"""Stations without which a file can still be made."""

EVAL_SHARE, PARITY_SHARE, BENCH_SHARE = 0.08, 0.06, 0.1
"""The most of the run's time; a bench that takes more is left out."""

TOO_SHORT = "left out, since the time is short"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The stations that remain.

    Attributes:
        stations: in their order.
        size: population and generations of the search.
        short: whether the query network's training embeds only the images that it sees.
        eval_queries: of the evaluation.
        parity_queries: of the proof.
    """

    stations: tuple[Planned, ...]
    size: tuple[int, int] = SIZES[0]
    short: bool = False
    eval_queries: int = 0
    parity_queries: int = 0

    @property
    def seconds(self) -> float:
        """Of all stations."""
        return sum(station.seconds for station in self.stations)

    def station(self, name: str) -> Planned | None:
        """A station that is in the plan and not left out; None if it is not."""
        for each in self.stations:
            if each.station == name and not each.left_out:
                return each
        return None

    def includes(self, name: str) -> bool:
        """Whether a station is in the plan and not left out."""
        return self.station(name) is not None


def make_plan(
    costs: Costs,
    seconds: float,
    *,
    whole: float | None = None,
    done: Set[str] = frozenset(),
    skip: Set[str] = frozenset(),
    search_needed: bool = False,
    finalists_allowed: bool = True,
) -> Plan:
    """Divides the time that is left among the stations that are not done.

    Args:
        costs: of the stations.
        seconds: that are left. If they are too few, the plan is the shortest there is.
        whole: seconds of the run, what is spent included; `seconds` if None.
        done: stations that are finished.
        skip: stations that are left out, of `SKIPPABLE`.
        search_needed: whether the starter kit has no architecture within the bounds, so that one is
            searched for however short the time.
        finalists_allowed: whether the best of the search may be compared by short trainings.
    """
    left_out = set(skip) if finalists_allowed else {*skip, "finalists"}
    whole = seconds if whole is None else whole
    asked = costs.eval_queries(EVAL_SHARE * whole)
    proved = costs.parity_queries(PARITY_SHARE * whole)
    fixed = {
        "index": (costs.index, f"embeds {costs.work.gallery:,} gallery images"),
        "eval": (costs.eval(asked), f"{asked:,} of {costs.work.queries:,} test queries"),
        "export": (costs.export, "TensorFlow Lite, ONNX, Core ML; fp32 and small"),
        "parity": (costs.parity(proved), f"proves the files on {proved:,} queries"),
        "bench": (costs.bench, "latency of each file on this machine"),
        "report": (costs.report, "the page with sample pictures"),
    }
    planned = {
        name: Planned(station=name, seconds=cost, what=what)
        for name, (cost, what) in fixed.items()
        if name not in done | left_out
    }
    division = Division(costs, done, left_out)
    least = 0.0 if "query" in done else costs.short_query(1.0)
    needed = sum(each.seconds for each in planned.values()) + least
    if needed > seconds or costs.bench > BENCH_SHARE * whole:
        planned.pop("bench", None)
    room = seconds - sum(each.seconds for each in planned.values())
    if "query" not in done:
        division.divide(room, search_needed=search_needed)
    planned |= division.stations
    for name in STATIONS:
        if name not in planned and name not in done:
            why = "skipped" if name in skip else division.why.get(name, TOO_SHORT)
            planned[name] = Planned(station=name, seconds=0.0, what=why, left_out=True)
    return Plan(
        stations=tuple(planned[name] for name in STATIONS if name in planned),
        size=division.size,
        short=division.short,
        eval_queries=asked,
        parity_queries=proved,
    )
