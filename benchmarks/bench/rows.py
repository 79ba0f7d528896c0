"""From the visits of one case to its row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgecmp.benchmarks.bench.case import Case
from edgecmp.benchmarks.bench.plan import BenchPlan
from edgecmp.benchmarks.bench.statistic import Statistic, statistic, summary_statistic
from edgecmp.benchmarks.devices.on_device.runner import times

__all__ = ["row"]


def row(case: Case, plan: BenchPlan) -> dict[str, Any]:
    """One row of the report; `BenchReport` describes its figures."""
    figures: dict[str, Any] = dict.fromkeys(FIGURES)
    if case.visits and (case.verdict == "measured" or plan.mode == "sustained"):
        figures = _figures(case, all_count=plan.mode == "single-stream")
        if plan.mode == "sustained":
            figures |= _sustained(case, plan)
        elif plan.mode == "single-stream":
            figures |= _single_stream(case)
    shape = case.visits[0]["input_shape"] if case.visits else None
    return {
        "file": str(case.file),
        "sha256": case.sha256,
        "target": case.target,
        "precision": case.precision,
        "runtime": case.runtime,
        "version": case.visits[0]["version"] if case.visits else None,
        "threads": case.threads,
        "input_shape": times(shape) if shape else None,
        "images_per_call": shape[0] if shape else None,
        **figures,
        "verdict": case.verdict,
        "reason": case.reason,
    }


FIGURES = (
    *("cold_ms", "init_ms", "first_ms"),
    *("p50_ms", "p90_ms", "p99_ms", "min_ms"),
    *("peak_memory_mb", "memory_before_mb"),
    *("runs", "counted", "preempted", "statistic", "percentiles_ms"),
    *("governor", "start_c", "end_c", "zone", "compute_units"),
)


def _figures(case: Case, *, all_count: bool) -> dict[str, Any]:
    """The figures that every mode reports."""
    visits = case.visits
    computed = _statistic(visits, case.threads, all_count=all_count)
    cold = {name: [visit[name] for visit in visits] for name in ("init_us", "first_us")}
    known = all(None not in times for times in cold.values())
    cold["cold_us"] = np.sum(list(cold.values()), axis=0).tolist() if known else [None]
    conditions = [visit[when] for visit in visits for when in ("before", "after")]
    governors = dict.fromkeys(seen["governor"] for seen in conditions if seen["governor"])
    zone, start_c, end_c = _temperature(conditions)
    values = (
        *(_median_ms(cold[name]) for name in ("cold_us", "init_us", "first_us")),
        *map(_ms, (computed.p50_us, computed.p90_us, computed.p99_us, computed.min_us)),
        *(_largest_mb(visits, key) for key in ("peak_memory_kb", "memory_before_kb")),
        *(computed.runs, computed.counted, computed.preempted, computed.name),
        [round(time / 1000, 5) for time in computed.percentiles_us],
        " and ".join(governors) or None,
        *(start_c, end_c, zone),
        visits[0].get("compute_units"),
    )
    return dict(zip(FIGURES, values, strict=True))


def _statistic(
    visits: Sequence[Mapping[str, Any]], threads: int | None, *, all_count: bool
) -> Statistic:
    """The statistic of all runs of the visits, or of their summaries if there is nothing else."""
    if visits[0]["wall_us"] is None:
        return summary_statistic([visit["summary"] for visit in visits])
    counts = all_count or visits[0]["switches"] is None
    return statistic(
        [visit["wall_us"] for visit in visits],
        None if visits[0]["cpu_us"] is None else [visit["cpu_us"] for visit in visits],
        None if counts else [visit["switches"] for visit in visits],
        threads=threads or 0,
    )


def _ms(time_us: float | None) -> float | None:
    return None if time_us is None else time_us / 1000


def _median_ms(times_us: Sequence[float | None]) -> float | None:
    """The median in ms; None if it is unknown for a visit."""
    if None in times_us:
        return None
    return float(np.median(np.asarray(times_us, np.float64))) / 1000


def _largest_mb(visits: Sequence[Mapping[str, Any]], key: str) -> float | None:
    values = [visit[key] for visit in visits if visit[key] is not None]
    return max(values) / 1024 if values else None


def _temperature(
    conditions: Sequence[Mapping[str, Any]],
) -> tuple[str | None, Any, Any]:
    """The zone that is hottest at the end, and its temperature at the start and at the end."""
    start, end = conditions[0]["temperatures_c"], conditions[-1]["temperatures_c"]
    if not end:
        return None, None, None
    zone = max(end, key=lambda name: float(end[name]))
    return zone, start.get(zone), end[zone]


def _sustained(case: Case, plan: BenchPlan) -> dict[str, Any]:
    """The figures of a sustained row: its curve, and the last window against the first."""
    start_s = case.visits[0]["from_s"]
    elapsed_s = case.visits[-1]["to_s"] - start_s
    curve = [
        window for visit in case.visits for window in _windows(visit, case.threads, start_s, plan)
    ]
    ratio = curve[-1]["p50_ms"] / curve[0]["p50_ms"]
    return {
        "minutes": elapsed_s / 60,
        "busy_percent": 100 * sum(visit["seconds"] for visit in case.visits) / elapsed_s,
        "first_window_ms": curve[0]["p50_ms"],
        "last_window_ms": curve[-1]["p50_ms"],
        "slower_percent": 100 * (ratio - 1),
        "window_s": plan.window_s,
        "curve": curve,
        "conditions": [
            {"minute": (visit[moment] - start_s) / 60, **visit[when]}
            for visit in case.visits
            for moment, when in (("from_s", "before"), ("to_s", "after"))
        ],
    }


def _windows(
    visit: Mapping[str, Any], threads: int | None, start_s: float, plan: BenchPlan
) -> list[dict[str, Any]]:
    """The points of the curve that come from one visit."""
    points = []
    for begin_s, runs in _split(visit, plan.window_s):
        computed = _statistic([runs], threads, all_count=False)
        points.append(
            {
                "minute": (begin_s - start_s) / 60,
                "p50_ms": computed.p50_us / 1000,
                "p90_ms": _ms(computed.p90_us),
                "runs": computed.runs,
                "statistic": computed.name,
            }
        )
    return points


def _split(visit: Mapping[str, Any], window_s: float) -> list[tuple[float, Mapping[str, Any]]]:
    """When each window of a visit begins (on the clock of "to_s"), and its runs.

    A window is about `window_s` long; a visit that has only a summary is one window.
    """
    begin_s = visit["to_s"] - visit["seconds"]
    if visit["wall_us"] is None:
        return [(begin_s, visit)]
    wall = np.asarray(visit["wall_us"])
    begins_s = (np.cumsum(wall) - wall) / 1e6
    count = max(1, round(visit["seconds"] / window_s))
    edges_s = np.linspace(0, visit["seconds"], count + 1)
    places = np.searchsorted(begins_s, edges_s)
    places[-1] = len(wall)
    names = [name for name in ("wall_us", "cpu_us", "switches") if visit[name] is not None]
    absent = {"cpu_us": None, "switches": None}
    return [
        (begin_s + edge_s, absent | {name: visit[name][low:high] for name in names})
        for edge_s, low, high in zip(edges_s, places, places[1:], strict=False)
        if high > low
    ]


def _single_stream(case: Case) -> dict[str, Any]:
    """The figures that MLPerf requires besides p90."""
    (visit,) = case.visits
    runs = visit["summary"]["runs"] if visit["wall_us"] is None else len(visit["wall_us"])
    return {"queries": runs, "seconds": visit["seconds"]}
