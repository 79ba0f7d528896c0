"""pareto.png: reward against latency, coloured by FLOPs, or against FLOPs where none is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecmp.plotting import (
    ACCENT,
    INK,
    SEQUENTIAL,
    colour_of,
    colour_scale,
    metric_label,
    new_figure,
    save_figure,
    tidy,
    vertical_line,
)
from edgecmp.search.evaluation.candidate import Candidate
from edgecmp.search.results.pareto_front import pareto_front

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_pareto"]


def draw_pareto(
    candidates: Sequence[Candidate],
    latency_ms: NDArray[np.float64] | None,
    reward: str,
    path: Path,
    *,
    bound_ms: float | None,
    winner: int,
    measured_ms: Sequence[float],
    title: str,
) -> Path:
    """Draws every candidate, the front, and where there is a table what was measured again.

    Args:
        candidates: of one search, best first.
        latency_ms: (N,) their latencies by the table; None without one.
        reward: the one the search maximised.
        path: the PNG to write.
        bound_ms: the longest latency allowed, if there is a table.
        winner: its position among the candidates.
        measured_ms: of the first candidates, as far as they were measured.
        title: above the picture.
    """
    mflops = np.array([candidate.flops for candidate in candidates]) / 1e6
    values = np.array([candidate.reward(reward) for candidate in candidates])
    costs = mflops if latency_ms is None else latency_ms
    best = candidates[winner]
    figure = new_figure(8, 4.8, title=title)
    axes = figure.subplots()
    if latency_ms is None:
        axes.scatter(costs, values, color=colour_of(0), s=16, alpha=0.6, linewidths=0)
        axes.set_xlabel("MFLOPs at 224 x 224")
        about = f"{mflops[winner]:.1f} MFLOPs"
    else:
        _coloured(axes, latency_ms, values, mflops)
        axes.set_xlabel("latency by the table, ms")
        about = f"{_times(latency_ms, measured_ms, winner)}, {mflops[winner]:.1f} MFLOPs"
    _front(axes, costs, values, "FLOPs" if latency_ms is None else "latency")
    if bound_ms is not None:
        vertical_line(axes, bound_ms, f"bound: {bound_ms:.4g} ms")
    if measured_ms:
        _measured(axes, costs, values, measured_ms)
    axes.scatter(
        costs[winner],
        values[winner],
        marker="*",
        s=230,
        color=ACCENT,
        edgecolors="white",
        zorder=3,
        label=f"winner: {about}",
    )
    axes.set_ylim(top=values.max() + 0.35 * (np.ptp(values) or 1))  # room for the legend
    axes.set_ylabel(f"{reward.upper()} ({metric_label(best.metric)})")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    tidy(axes)
    return save_figure(figure, path)


def _coloured(
    axes: Axes,
    latency_ms: NDArray[np.float64],
    values: NDArray[np.float64],
    mflops: NDArray[np.float64],
) -> None:
    """A dot for each candidate, coloured by its FLOPs."""
    dots = axes.scatter(
        latency_ms[::-1],
        values[::-1],
        c=mflops[::-1],
        cmap=SEQUENTIAL,
        s=16,
        alpha=0.8,
        linewidths=0,
    )
    colour_scale(axes, dots, "MFLOPs at 224 x 224")


def _times(latency_ms: NDArray[np.float64], measured_ms: Sequence[float], winner: int) -> str:
    """The winner's latency by the table and, where it was measured, on the device."""
    measured = f", measured {measured_ms[winner]:.4g} ms" if winner < len(measured_ms) else ""
    return f"{latency_ms[winner]:.4g} ms by the table{measured}"


def _front(axes: Axes, costs: NDArray[np.float64], values: NDArray[np.float64], what: str) -> None:
    """The highest reward within each cost, as steps."""
    front = pareto_front(np.stack((costs, -values), 1))
    steps = front[np.argsort(costs[front])]
    axes.plot(
        costs[steps],
        values[steps],
        drawstyle="steps-post",
        color=INK,
        linewidth=1,
        label=f"highest reward within each {what}",
    )


def _measured(
    axes: Axes,
    costs: NDArray[np.float64],
    values: NDArray[np.float64],
    measured_ms: Sequence[float],
) -> None:
    """A line from each latency by the table to the measured one, which is a tick."""
    count = len(measured_ms)
    axes.hlines(values[:count], costs[:count], measured_ms, color=ACCENT, linewidth=0.8)
    axes.scatter(
        measured_ms, values[:count], marker="|", s=60, color=ACCENT, label="measured on the device"
    )
