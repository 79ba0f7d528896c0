"""The tables and the picture of `edgecmp.benchmarks.peers.run`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecmp.plotting import (
    COLOURS,
    colour_of,
    horizontal_line,
    legend_below,
    new_figure,
    save_figure,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "conversion_table",
    "draw",
    "latency_table",
    "rate_table",
    "summary",
    "summary_table",
]

Row = dict[str, Any]
BUSY_SHARE = 0.3
"""Share of preempted runs above which the figures of a row are reported as unreliable."""

GROUPS = ("all", "with 7x7", "without 7x7")


def summary(rows: Sequence[Row]) -> list[Row]:
    """Median ratio per contender, runtime and thread count: all networks, with and without 7x7."""
    lines: list[Row] = []
    for key, own in _by(_measured(rows), "contender", "runtime", "threads").items():
        line: Row = dict(zip(("contender", "runtime", "threads"), key, strict=True))
        for group in GROUPS:
            chosen = [row for row in own if group in ("all", _group(row))]
            line[group] = _median(row["ratio"] for row in chosen)
            line[f"share, {group}"] = _median(row["share_of_rate"] for row in chosen)
        for figure in ("cpu_ratio", "cpu_share_of_rate"):
            line[figure] = _median(row.get(figure) for row in own)
        line["networks"] = len(own)
        lines.append(line)
    return lines


def _measured(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row["verdict"] == "measured"]


def _by(rows: Iterable[Row], *columns: str) -> dict[tuple[Any, ...], list[Row]]:
    """The rows grouped by the values of some columns, in the order of their first rows."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[column] for column in columns), []).append(row)
    return groups


def _median(values: Iterable[float | None]) -> float | None:
    """The median of the known values; None if there are none."""
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _group(row: Row) -> str:
    return "with 7x7" if row["has_7x7"] else "without 7x7"


def _cell(value: float | None, form: str, ending: str = "") -> str:
    return "-" if value is None else f"{value:{form}}{ending}"


def _cells(values: Iterable[str], width: int) -> str:
    """Table cells side by side, right-aligned."""
    return "".join(f"{value:>{width}}" for value in values)


def summary_table(rows: Sequence[Row]) -> str:
    """The summary as text; shares are relative to 1x1 convolutions in the same runtime."""
    lines = [
        "Latency relative to ours in LiteRT, and rate relative to 1x1 convolutions (medians over "
        "the networks)",
        f"{'contender':22}{'runtime':16}{'threads':>8}"
        + _cells(GROUPS, 13)
        + _cells((f"share, {group}" for group in GROUPS), 20)
        + _cells(("CPU time", "share (CPU)"), 14),
    ]
    for row in sorted(summary(rows), key=lambda row: row["threads"]):
        by_cpu = (_cell(row["cpu_ratio"], ".2f", "x"), _cell(row["cpu_share_of_rate"], ".0%"))
        lines.append(
            f"{row['contender']:22}{row['runtime']:16}{row['threads']:>8}"
            + _cells((_cell(row[group], ".2f", "x") for group in GROUPS), 13)
            + _cells((_cell(row[f"share, {group}"], ".0%") for group in GROUPS), 20)
            + _cells(by_cpu, 14)
        )
    return "\n".join([*lines, *_remarks(rows)])


def _remarks(rows: Sequence[Row]) -> list[str]:
    """The limits of the summary: a busy machine, and contenders that were not measured."""
    remarks = []
    busy = [row for row in rows if (row.get("preempted") or 0) > BUSY_SHARE]
    if busy:
        remarks.append(
            f"The machine was busy: in {len(busy)} of {len(rows)} rows more than {BUSY_SHARE:.0%} "
            "of the runs were preempted. Measure again on an idle machine; several threads are "
            "affected most."
        )
    missing = [row for row in rows if row["verdict"] != "measured"]
    remarks += [
        f"{contender} in {runtime}: {verdict}: {reason}"
        for contender, runtime, verdict, reason in _by(
            missing, "contender", "runtime", "verdict", "reason"
        )
    ]
    return remarks


def latency_table(rows: Sequence[Row]) -> str:
    """Latency of every network in ms, one column per contender and runtime."""
    measured = _measured(rows)
    columns = {
        chr(ord("a") + index): column
        for index, column in enumerate(_by(measured, "contender", "runtime"))
    }
    lines = ["Latency in ms (p50)"]
    lines += [f"  {head}: {contender} in {where}" for head, (contender, where) in columns.items()]
    lines.append(f"{'network':22}{'threads':>8}" + _cells(columns, 9))
    for (network, threads), own in _by(measured, "network", "threads").items():
        times = {(row["contender"], row["runtime"]): row["p50_ms"] for row in own}
        cells = (_cell(times.get(column), ".2f") for column in columns.values())
        lines.append(f"{network:22}{threads:>8}" + _cells(cells, 9))
    return "\n".join(lines)


def conversion_table(rows: Sequence[Row]) -> str:
    """Median seconds per network, one column per precision; "-" if there is no file, and why."""
    precisions = list(dict.fromkeys(row["precision"] for row in rows if row["precision"]))
    lines = [
        "Conversion time in seconds (median over the networks, without imports)",
        f"{'converter':22}" + _cells(precisions, 14),
    ]
    notes: dict[str, None] = {}
    for (name,), own in _by(rows, "converter").items():
        medians = (
            _median(row["seconds"] for row in own if row["precision"] == precision)
            for precision in precisions
        )
        lines.append(f"{name:22}" + _cells((_cell(seconds, ".2f") for seconds in medians), 14))
        notes |= {
            f"{name} {row['precision'] or ''}: {row['reason']}": None
            for row in own
            if row["reason"]
        }
    return "\n".join([*lines, *notes])


def rate_table(rates: Sequence[Row]) -> str:
    """GFLOP/s of stacked 1x1 convolutions: the median over the networks, by shape."""
    lines = [
        "GFLOP/s of stacked 1x1 convolutions (shares are relative to the fastest in the session)"
    ]
    for (runtime, threads, shape), own in sorted(_by(rates, "runtime", "threads", "shape").items()):
        rate = median(row["gflops"] for row in own)
        lines.append(f"{runtime:16}{threads:>2} threads {shape:>12}: {rate:7.1f}")
    return "\n".join(lines)


def draw(rows: Sequence[Row], path: Path) -> Path:
    """Bars per network: latency relative to ours in LiteRT, one panel per thread count."""
    measured = [row for row in rows if row["verdict"] == "measured"]
    counts = sorted({row["threads"] for row in measured})
    networks = list(dict.fromkeys(row["network"] for row in measured))
    figure = new_figure(max(8.0, 1.1 * len(networks)), 3.6 * len(counts))
    panels = np.atleast_1d(figure.subplots(len(counts), 1, sharex=True, sharey=True))
    peers = [
        peer
        for peer in dict.fromkeys((row["contender"], row["runtime"]) for row in measured)
        if peer != ("ours", "litert")
    ]
    for panel, threads in zip(panels, counts, strict=True):
        own = [row for row in measured if row["threads"] == threads]
        _bars(panel, own, networks, peers)
        panel.set_ylabel(f"latency / ours, {threads} thread{'s' if threads > 1 else ''}")
    panels[-1].set_xticks(np.arange(len(networks)), networks, rotation=25, ha="right")
    ratios = [row["ratio"] for row in measured if row["ratio"] is not None]
    panels[0].set_yscale("log", base=2)
    panels[0].set_yticks([0.5, 1, 2, 4, 8, 16], ["0.5", "1", "2", "4", "8", "16"])
    panels[0].set_ylim(0.8 * min((0.6, *ratios)), 1.1 * max((2, *ratios)))
    tidy(*panels)
    legend_below(figure, *panels, columns=3)
    return save_figure(figure, path)


def _bars(
    axes: Axes,
    rows: Sequence[Row],
    networks: Sequence[str],
    peers: Sequence[tuple[str, str]],
) -> None:
    """One bar per network and peer (contender, runtime), and a line at 1 for ours."""
    width = 0.85 / max(1, len(peers))
    ratios = {(row["contender"], row["runtime"], row["network"]): row["ratio"] for row in rows}
    for place, (contender, runtime) in enumerate(peers):
        axes.bar(
            np.arange(len(networks)) + (place - (len(peers) - 1) / 2) * width,
            [ratios.get((contender, runtime, network), np.nan) for network in networks],
            width,
            color=colour_of(place),
            hatch="//" if place >= len(COLOURS) else None,
            label=f"{contender} in {runtime}",
        )
    horizontal_line(axes, 1, "ours in\nLiteRT", outside=True)
