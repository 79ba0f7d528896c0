"""bench.png: how the runs of each row are spread, or how they change over the minutes."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.axes
import matplotlib.figure
import matplotlib.ticker
import numpy as np

from edgecmp.benchmarks.bench.report import BenchReport
from edgecmp.errors import UserError
from edgecmp.files import write_atomic

__all__ = ["draw_bench"]

INK, FADED, ACCENT = "#222222", "#888888", "#d1495b"
COLOURS = ("#3b528b", "#d1495b", "#21918c", "#edae49", "#66a182", "#8d6a9f", "#444444", "#5ec962")
WIDE = 5
"""From this ratio of the slowest to the fastest on, the axis is logarithmic."""

SHOWN = slice(0, 100)
"""Percentiles that are drawn: the slowest hundredth may lie anywhere."""


def draw_bench(report: BenchReport, path: Path) -> Path:
    """Draws a bench: one line a row with its spread, p50, p90 and p99; of a sustained one curves.

    Raises:
        UserError: nothing was measured.
    """
    rows = [row for row in report.rows if row["p50_ms"] is not None]
    if not rows:
        raise UserError("There is nothing to draw: no row was measured.", "Leave out --picture.")
    figure = matplotlib.figure.Figure(dpi=130, layout="constrained")
    if report.mode == "sustained":
        _draw_curves(figure, rows)
    else:
        _draw_spread(figure, rows)
    facts = report.device
    cores = f", {facts['cores']} cores" if facts.get("cores") else ""
    title = f"{facts['name']}: {facts.get('cpu') or facts.get('machine')}{cores}"
    figure.suptitle(textwrap.shorten(title, 90), color=INK, fontsize=11)
    image = io.BytesIO()
    figure.savefig(image, format="png", metadata={"Software": None})
    return write_atomic(path, image.getvalue())


def _label(row: dict[str, Any]) -> str:
    units = f", {row['compute_units']}" if row["compute_units"] else ""
    threads = f", {row['threads']} thread{'s' * (row['threads'] != 1)}"
    return f"{Path(row['file']).name}\n{row['runtime']}{units or threads}"


def _tidy(axes: matplotlib.axes.Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=FADED, labelcolor=INK)
    axes.grid(alpha=0.15)
    axes.set_axisbelow(True)


def _draw_spread(figure: matplotlib.figure.Figure, rows: Sequence[dict[str, Any]]) -> None:
    """A hill of how often each latency occurred, a row a line; one shared axis in ms."""
    figure.set_size_inches(11, 1.3 + 0.85 * len(rows))
    axes = figure.subplots()
    shown = [time for row in rows for time in row["percentiles_ms"][SHOWN]]
    shown += [
        row[key] for row in rows for key in ("p50_ms", "p90_ms", "earlier_ms") if row.get(key)
    ]
    wide = max(shown) > WIDE * min(shown)
    if wide:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        axes.xaxis.set_major_formatter("{x:g}")
    for place, row in enumerate(rows):
        colour = COLOURS[place % len(COLOURS)]
        percentiles = np.array(row["percentiles_ms"])[SHOWN]
        if len(percentiles):
            times, height = _hill(percentiles, max(shown) - min(shown), logarithmic=wide)
            hill = place - 0.66 * height
            axes.fill_between(times, place, hill, color=colour, alpha=0.35, linewidth=0)
            axes.plot(percentiles[[0, -1]], [place, place], color=colour, linewidth=1.2)
        if row.get("earlier_ms"):
            axes.scatter(row["earlier_ms"], place, s=95, facecolors="none", edgecolors=INK)
        for key, marker, size in (("p99_ms", "|", 90), ("p90_ms", "|", 170), ("p50_ms", "o", 34)):
            if row[key] is not None:
                axes.scatter(row[key], place, marker=marker, s=size, color=colour, zorder=3)
        axes.annotate(
            _figures(row),
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8.5,
            color=INK,
        )
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows], fontsize=8.5)
    axes.set_ylim(len(rows) - 0.6, -0.85)
    low, high = (min(shown) / 1.15, max(shown) * 1.15) if wide else (0, 1.04 * max(shown))
    axes.set_xlim(low, high)
    circle = "; circle: the earlier bench" * any(row.get("earlier_ms") for row in rows)
    axes.set_xlabel(f"ms a run (dot: p50, ticks: p90 and p99{circle})", color=INK)
    _tidy(axes)
    axes.grid(axis="y", visible=False)


def _figures(row: dict[str, Any]) -> str:
    """The row's numbers, as they stand at its right end."""
    keys = [key for key in ("p50_ms", "p90_ms", "p99_ms") if row[key]]
    ratio = f"\n{row['ratio']:.2f} x {row['earlier_ms']:#.3g} ms" if row.get("ratio") else ""
    return "  ".join(f"{key[:3]} {row[key]:#.3g}" for key in keys) + " ms" + ratio


def _hill(
    percentiles: np.ndarray[Any, Any], room: float, *, logarithmic: bool
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Times and how often they occur, (1200,) each, the most frequent as 1, smoothed.

    The hill is as wide as the middle of the runs says, but never thinner than a line.
    """
    values = np.log(percentiles) if logarithmic else percentiles
    tenth, ninth = np.percentile(values, (10, 90))
    thin = 0.01 if logarithmic else 0.004 * room
    width = max((ninth - tenth) / 6, thin)
    places = np.linspace(values[0] - 3 * width, values[-1] + 3 * width, 1200)
    bells = np.exp(-0.5 * ((places[:, None] - values[None]) / width) ** 2).sum(axis=1)
    return np.exp(places) if logarithmic else places, bells / bells.max()


def _draw_curves(figure: matplotlib.figure.Figure, rows: Sequence[dict[str, Any]]) -> None:
    """p50 of each window, shaded up to its p90, over the minutes; below it the hottest zone."""
    hot = any(row["zone"] for row in rows)
    figure.set_size_inches(10, 6.4 if hot else 4.6)
    panels = figure.subplots(
        1 + hot, 1, sharex=True, squeeze=False, height_ratios=(2.2, 1)[: 1 + hot]
    )
    curves = panels[0, 0]
    for place, row in enumerate(rows):
        colour = COLOURS[place % len(COLOURS)]
        minutes = np.array([window["minute"] for window in row["curve"]]) + row["window_s"] / 120
        p50 = np.array([window["p50_ms"] for window in row["curve"]])
        p90 = np.array([window["p90_ms"] or np.nan for window in row["curve"]])
        label = (
            f"{_label(row).replace(chr(10), ' in ')}: "
            f"{row['first_window_ms']:.3g} to {row['last_window_ms']:.3g} ms "
            f"({row['slower_percent']:+.1f} %)"
        )
        curves.fill_between(minutes, p50, p90, color=colour, alpha=0.15, linewidth=0)
        curves.plot(minutes, p50, color=colour, linewidth=1.6, label=label)
        curves.scatter(minutes[[0, -1]], p50[[0, -1]], color=colour, s=18, zorder=3)
        if row["zone"]:
            told = [
                (seen["minute"], seen["temperatures_c"].get(row["zone"]))
                for seen in row["conditions"]
            ]
            panels[1, 0].plot(*zip(*told, strict=True), color=colour, label=row["zone"])
    curves.set_ylim(bottom=0, top=1.35 * curves.get_ylim()[1])
    curves.set_ylabel("ms a run: p50 of each window, shaded to p90", fontsize=9)
    curves.legend(frameon=False, fontsize=8.5, loc="upper left")
    if hot:
        panels[1, 0].set_ylabel("hottest zone, °C", fontsize=9)
        panels[1, 0].legend(frameon=False, fontsize=8)
    panels[-1, 0].set_xlabel("minutes since the row began")
    panels[-1, 0].set_xlim(left=0)
    for panel in panels.flat:
        _tidy(panel)
