"""Pictures of a table (what each choice costs) and of a check (predicted against measured)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.benchmarks.latency.check import LatencyCheck
from edgecmp.files import write_atomic
from edgecmp.networks.tiers import BLOCKS, WIDTHS

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # takes half a second to import

__all__ = ["draw_check", "draw_table"]

COLOURS = ("#4c78a8", "#f58518", "#e45756", "#54a24b")
DOTS_PER_INCH = 150


def draw_table(table: LatencyTable, path: Path) -> Path:
    """A panel for each stage and stride: latency over width, a line for each block."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.4), layout="constrained")
    axes = figure.subplots(2, 4, sharex=True)
    us = 1000 * table.entries_ms.reshape(4, 2, len(BLOCKS), len(WIDTHS))
    widths = [f"{width / 5:g}" for width in WIDTHS]
    for stage in range(4):
        for row, stride in enumerate((2, 1)):
            panel = axes[row][stage]
            for block, name in enumerate(BLOCKS):
                panel.plot(us[stage, row, block], color=COLOURS[block], label=name, marker=".")
            panel.set_title(f"stage {stage + 1}, stride {stride}", fontsize=9)
            panel.set_ylim(bottom=0)
            panel.set_xticks(range(len(widths)), widths, fontsize=7)
            panel.tick_params(labelsize=7)
            panel.grid(alpha=0.3)
            panel.spines[["top", "right"]].set_visible(False)
    axes[0][0].legend(fontsize=8, frameon=False)
    figure.supylabel("latency of the layer alone, µs", fontsize=9)
    figure.supxlabel("width, as a factor of half the layer's channels", fontsize=9)
    figure.suptitle(f"{table.tier} tier, {table.input_size} pixels, {_where(table)}", fontsize=11)
    return _save(figure, path)


def draw_check(report: LatencyCheck, path: Path) -> Path:
    """A point for each network: the table's latency against the measured one."""
    from matplotlib.figure import Figure

    table = LatencyTable.load(report.table)
    measured = np.array([net["measured_ms"] for net in report.nets])
    predicted = np.array([net["predicted_ms"] for net in report.nets])
    figure = Figure(figsize=(5.6, 5.2), layout="constrained")
    axes = figure.subplots()
    ends = np.array([min(measured.min(), predicted.min()), max(measured.max(), predicted.max())])
    ends = ends * (0.97, 1.03)
    axes.fill_between(ends, 0.95 * ends, 1.05 * ends, color="#4c78a8", alpha=0.12, label="±5 %")
    axes.plot(ends, ends, color="#888888", linewidth=1)
    axes.scatter(measured, predicted, s=16, color="#4c78a8", label="a random network")
    fitted = [(net["measured_ms"], net["predicted_ms"]) for net in table.calibration]
    inside = [pair for pair in fitted if ends[0] <= pair[0] <= ends[1]]
    axes.scatter(
        [took for took, _ in inside],
        [said for _, said in inside],
        s=30,
        facecolors="none",
        edgecolors="#e45756",
        label="a network of the calibration",
    )
    axes.set(xlim=ends, ylim=ends, xlabel="measured, ms", ylabel="by the table, ms")
    axes.set_aspect("equal")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left", fontsize=9)
    figures = report.rows[0]
    tau = "" if figures["tau"] is None else f", Kendall tau {figures['tau']:.2f}"
    axes.set_title(
        f"{table.tier} tier, {table.input_size} pixels, {_where(table)}\n"
        f"{figures['nets']} networks: mean error {figures['mape']:.1f} %, worst "
        f"{figures['max_error']:.1f} %{tau}",
        fontsize=10,
    )
    return _save(figure, path)


def _where(table: LatencyTable) -> str:
    threads = f"{table.threads} thread{'s' * (table.threads > 1)}"
    device = table.device.partition("?")[0]  # without how it is reached
    return f"{table.runtime} {table.version}, {table.precision}, {threads}, {device}"


def _save(figure: Figure, path: Path) -> Path:
    stored = io.BytesIO()
    figure.savefig(stored, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return write_atomic(path, stored.getvalue())
