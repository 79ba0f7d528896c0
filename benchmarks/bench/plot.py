"""bench.png: the distribution of the runs of each row, or their change over the minutes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.benchmarks.bench.report import BenchReport
from edgecmp.errors import UserError
from edgecmp.plotting import INK, colour_of, new_figure, save_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_bench"]

WIDE = 5
"""The axis is logarithmic if the slowest time exceeds the fastest by more than this factor."""

SHOWN = slice(0, 100)
"""Percentiles that are drawn: without the slowest hundredth, which may be far off."""

MARKS = (("p99_ms", "|", 90), ("p90_ms", "|", 170), ("p50_ms", "o", 34))
"""Figure of a row, its marker, and the marker's size in square points."""


def draw_bench(report: BenchReport, path: Path) -> Path:
    """Draws the distribution of each row with p50, p90 and p99, or the curve of a sustained bench.

    Raises:
        UserError: no row was measured.
    """
    rows = [row for row in report.rows if row["p50_ms"] is not None]
    if not rows:
        raise UserError("There is nothing to draw: no row was measured.", "Leave out --picture.")
    facts = report.device
    cores = f", {facts['cores']} cores" if facts.get("cores") else ""
    title = f"{facts['name']}: {facts.get('cpu') or facts.get('machine')}{cores}"
    figure = new_figure(11, 1.3 + 0.7 * len(rows), title=textwrap.shorten(title, 90))
    if report.mode == "sustained":
        _draw_curves(figure, rows)
    else:
        _draw_spread(figure.subplots(), rows)
    return save_figure(figure, path)


def _label(row: dict[str, Any]) -> str:
    units = f", {row['compute_units']}" if row["compute_units"] else ""
    threads = f", {row['threads']} thread{'s' * (row['threads'] != 1)}"
    return f"{Path(row['file']).name}\n{row['runtime']}{units or threads}"


def _draw_spread(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    """The density of each row's latencies, one line per row, on a shared axis in ms."""
    shown = [time for row in rows for time in row["percentiles_ms"][SHOWN]]
    shown += [
        row[key] for row in rows for key in ("p50_ms", "p90_ms", "earlier_ms") if row.get(key)
    ]
    logarithmic = _scale(axes, min(shown), max(shown))
    for place, row in enumerate(rows):
        colour = colour_of(place)
        _draw_hill(axes, place, row, max(shown) - min(shown), logarithmic=logarithmic)
        if row.get("earlier_ms"):
            axes.scatter(row["earlier_ms"], place, s=95, facecolors="none", edgecolors=INK)
        for key, marker, size in MARKS:
            if row[key] is not None:
                axes.scatter(row[key], place, marker=marker, s=size, color=colour, zorder=3)
        axes.annotate(
            _figures(row),
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            color=INK,
        )
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows])
    axes.set_ylim(len(rows) - 0.6, -0.85)
    circle = "; circle: p50 of the earlier bench" * any(row.get("earlier_ms") for row in rows)
    axes.set_xlabel(f"ms per run (dot: p50; ticks: p90 and p99{circle})")
    tidy(axes)
    axes.grid(axis="y", visible=False)


def _scale(axes: Axes, fastest: float, slowest: float) -> bool:
    """Fits the axis to the times, in ms; returns whether it is logarithmic."""
    from matplotlib.ticker import LogLocator, NullLocator

    if slowest <= WIDE * fastest:
        axes.set_xlim(0, 1.04 * slowest)
        return False
    axes.set_xscale("log")
    axes.set_xlim(fastest / 1.25, slowest * 1.25)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    return True


def _draw_hill(
    axes: Axes, place: int, row: dict[str, Any], room: float, *, logarithmic: bool
) -> None:
    """The density above the row's line, which extends from the fastest to the slowest shown run."""
    percentiles = np.array(row["percentiles_ms"])[SHOWN]
    if not len(percentiles):
        return
    times, height = _hill(percentiles, room, logarithmic=logarithmic)
    colour = colour_of(place)
    axes.fill_between(times, place, place - 0.66 * height, color=colour, alpha=0.35, linewidth=0)
    axes.plot(percentiles[[0, -1]], [place, place], color=colour, linewidth=1.2)


def _figures(row: dict[str, Any]) -> str:
    """The text at the right end of the row: its percentiles and its ratio."""
    keys = [key for key in ("p50_ms", "p90_ms", "p99_ms") if row[key]]
    ratio = ""
    if row.get("ratio"):
        ratio = f"\n{row['ratio']:.2f} times the earlier {row['earlier_ms']:#.3g} ms"
    return "  ".join(f"{key[:3]} {row[key]:#.3g}" for key in keys) + " ms" + ratio


def _hill(
    percentiles: NDArray[np.float64], room: float, *, logarithmic: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times and their smoothed density, (1200,) each; the largest density is 1.

    The smoothing is proportional to the range between the 10th and the 90th percentile, and wide
    enough that a narrow density remains visible.
    """
    values = np.log(percentiles) if logarithmic else percentiles
    tenth, ninth = np.percentile(values, (10, 90))
    thin = 0.01 if logarithmic else 0.004 * room
    width = max((ninth - tenth) / 6, thin)
    places = np.linspace(values[0] - 3 * width, values[-1] + 3 * width, 1200)
    bells = np.exp(-0.5 * ((places[:, None] - values[None]) / width) ** 2).sum(axis=1)
    return np.exp(places) if logarithmic else places, bells / bells.max()


def _draw_curves(figure: Figure, rows: Sequence[dict[str, Any]]) -> None:
    """p50 of each window, shaded up to p90, over the minutes; below, the hottest zone."""
    hot = any(row["zone"] for row in rows)
    figure.set_size_inches(10, 6.4 if hot else 4.6)
    panels = figure.subplots(
        1 + hot, 1, sharex=True, squeeze=False, height_ratios=(2.2, 1)[: 1 + hot]
    )[:, 0]
    for place, row in enumerate(rows):
        _draw_curve(panels[0], place, row)
        if row["zone"]:
            readings = [
                (seen["minute"], seen["temperatures_c"].get(row["zone"]))
                for seen in row["conditions"]
            ]
            panels[1].plot(*zip(*readings, strict=True), color=colour_of(place), label=row["zone"])
    panels[0].set_ylim(bottom=0, top=1.35 * panels[0].get_ylim()[1])  # room for the legend
    panels[0].set_ylabel("ms per run: p50 of each window, shaded to p90")
    panels[0].legend(frameon=False, fontsize=8, loc="upper left")
    if hot:
        panels[1].set_ylabel("hottest zone, °C")
        panels[1].legend(frameon=False, fontsize=8)
    panels[-1].set_xlabel("minutes since the row began")
    panels[-1].set_xlim(left=0)
    tidy(*panels)


def _draw_curve(axes: Axes, place: int, row: dict[str, Any]) -> None:
    """The windows of one row; the label states p50 of the first and the last one."""
    colour = colour_of(place)
    minutes = np.array([window["minute"] for window in row["curve"]]) + row["window_s"] / 120
    p50 = np.array([window["p50_ms"] for window in row["curve"]])
    p90 = np.array([window["p90_ms"] or np.nan for window in row["curve"]])
    label = (
        f"{_label(row).replace(chr(10), ' in ')}: "
        f"{row['first_window_ms']:.3g} to {row['last_window_ms']:.3g} ms "
        f"({row['slower_percent']:+.1f} %)"
    )
    axes.fill_between(minutes, p50, p90, color=colour, alpha=0.15, linewidth=0)
    axes.plot(minutes, p50, color=colour, linewidth=1.6, label=label)
    axes.scatter(minutes[[0, -1]], p50[[0, -1]], color=colour, s=18, zorder=3)
