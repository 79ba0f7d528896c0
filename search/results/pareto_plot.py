"""pareto.png: reward against latency, coloured by FLOPs, or against FLOPs where none is bounded."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import matplotlib.figure
import numpy as np
from numpy.typing import NDArray

from edgecmp.files import write_atomic
from edgecmp.search.evaluation.candidate import Candidate
from edgecmp.search.results.search_plot import ACCENT, FADED, INK
from edgecmp.search.strategies.pareto import pareto_front

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
    flops = np.array([candidate.flops for candidate in candidates]) / 1e6
    values = np.array([candidate.reward(reward) for candidate in candidates])
    figure = matplotlib.figure.Figure(figsize=(8, 4.8), dpi=130, layout="constrained")
    axes = figure.subplots()
    figure.suptitle(title, color=INK, fontsize=12)
    costs = flops if latency_ms is None else latency_ms
    within = "FLOPs" if latency_ms is None else "a latency"
    if latency_ms is None:
        axes.scatter(costs, values, color="#3b528b", s=16, alpha=0.6, linewidths=0)
    else:
        dots = axes.scatter(
            costs[::-1], values[::-1], c=flops[::-1], cmap="viridis", s=16, alpha=0.8, linewidths=0
        )
        figure.colorbar(dots, ax=axes, label="MFLOPs at 224 x 224", pad=0.01)
    two = pareto_front(np.stack((costs, -values), 1))
    steps = two[np.argsort(costs[two])]
    axes.plot(
        costs[steps],
        values[steps],
        drawstyle="steps-post",
        color=INK,
        linewidth=1,
        label=f"highest reward within {within}",
    )
    if bound_ms is not None:
        label = f"bound: {bound_ms:g} ms"
        axes.axvline(bound_ms, color=INK, linestyle="--", linewidth=1, label=label)
    if measured_ms:
        axes.hlines(
            values[: len(measured_ms)],
            costs[: len(measured_ms)],
            measured_ms,
            color=ACCENT,
            linewidth=0.8,
        )
        axes.scatter(
            measured_ms,
            values[: len(measured_ms)],
            marker="|",
            s=60,
            color=ACCENT,
            label="measured again",
        )
    best = candidates[winner]
    about = f"{flops[winner]:.1f}M"
    if latency_ms is not None:
        measured = f", measured {measured_ms[winner]:.4g} ms" if winner < len(measured_ms) else ""
        about = f"{latency_ms[winner]:.4g} ms by the table{measured}, {about}"
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
    axes.set_xlabel("MFLOPs" if latency_ms is None else "latency by the table, ms")
    axes.set_ylabel(f"{reward.upper()} ({best.metric})")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=FADED, labelcolor=INK)
    axes.grid(alpha=0.15)
    image = io.BytesIO()
    figure.savefig(image, format="png", metadata={"Software": None})
    return write_atomic(path, image.getvalue())
