"""Pictures of a table (latency of each choice) and of a check (predicted against measured)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.benchmarks.latency.check import LatencyCheck
from edgecmp.networks.tiers import BLOCKS, WIDTHS
from edgecmp.plotting import (
    ACCENT,
    INK,
    MUTED,
    colour_of,
    legend_below,
    new_figure,
    save_figure,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_check", "draw_table"]

BOUND = 0.05
"""The relative error up to which the picture of a check is shaded."""


def draw_table(table: LatencyTable, path: Path) -> Path:
    """One panel per stage and stride: latency over width, one line per block."""
    figure = new_figure(
        11, 5.8, title=f"{table.tier} tier, {table.input_size} pixels, {_where(table)}"
    )
    panels = figure.subplots(2, 4, sharex=True)
    us = 1000 * table.entries_ms.reshape(4, 2, len(BLOCKS), len(WIDTHS))
    for stage in range(4):
        for row, stride in enumerate((2, 1)):
            panel = panels[row][stage]
            for block, name in enumerate(BLOCKS):
                panel.plot(us[stage, row, block], color=colour_of(block), label=name, marker=".")
            panel.set_title(f"stage {stage + 1}, stride {stride}")
            panel.set_ylim(bottom=0)
            panel.set_xticks(range(len(WIDTHS)), [f"{width / 5:g}" for width in WIDTHS])
        panels[1][stage].set_xlabel("width / half the layer's channels")
    tidy(*panels.flat)
    figure.supylabel("latency of the layer alone, µs", color=INK, fontsize=9)
    legend_below(figure, panels[0][0])
    return save_figure(figure, path)


def draw_check(report: LatencyCheck, path: Path) -> Path:
    """One point per network: predicted against measured latency."""
    table = LatencyTable.load(report.table)
    figures = report.rows[0]
    tau = "" if figures["tau"] is None else f", Kendall tau {figures['tau']:.2f}"
    figure = new_figure(
        6.4,
        6.2,
        title=f"{table.tier} tier, {table.input_size} pixels, {_where(table)}\n"
        f"{figures['nets']} networks: mean error {figures['mape']:.1f} %, worst "
        f"{figures['max_error']:.1f} %{tau}",
    )
    axes = figure.subplots()
    measured = np.array([net["measured_ms"] for net in report.nets])
    predicted = np.array([net["predicted_ms"] for net in report.nets])
    ends = np.array([min(measured.min(), predicted.min()), max(measured.max(), predicted.max())])
    ends = ends * (0.97, 1.03)
    low, high = (1 - BOUND) * ends, (1 + BOUND) * ends
    axes.fill_between(
        ends, low, high, color=colour_of(0), alpha=0.12, linewidth=0, label=f"within {BOUND:.0%}"
    )
    axes.plot(ends, ends, color=MUTED, linewidth=1, label="predicted = measured")
    axes.scatter(measured, predicted, s=16, color=colour_of(0), label="a random network")
    _calibration(axes, table, ends[0], ends[1])
    axes.set(xlim=ends, ylim=ends, xlabel="measured, ms", ylabel="predicted by the table, ms")
    axes.set_aspect("equal")
    tidy(axes)
    axes.legend(frameon=False, loc="upper left", fontsize=8)
    return save_figure(figure, path)


def _calibration(axes: Axes, table: LatencyTable, low: float, high: float) -> None:
    """The calibration networks of the table whose latency lies between the bounds."""
    inside = [net for net in table.calibration if low <= net["measured_ms"] <= high]
    axes.scatter(
        [net["measured_ms"] for net in inside],
        [net["predicted_ms"] for net in inside],
        s=30,
        facecolors="none",
        edgecolors=ACCENT,
        label="a calibration network",
    )


def _where(table: LatencyTable) -> str:
    threads = f"{table.threads} thread{'s' * (table.threads > 1)}"
    device = table.device.partition("?")[0]  # without its options
    return f"{table.runtime} {table.version}, {table.precision}, {threads}, {device}"
