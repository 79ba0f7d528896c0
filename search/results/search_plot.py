"""search.png: reward against FLOPs, generation by generation."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import matplotlib.figure
import matplotlib.ticker
import numpy as np

from edgecmp.files import write_atomic
from edgecmp.search.evaluation.candidate import Candidate

__all__ = ["ACCENT", "FADED", "INK", "draw_search"]

INK, FADED, ACCENT = "#222222", "#888888", "#d1495b"


def draw_search(
    candidates: Sequence[Candidate],
    reward: str,
    path: Path,
    *,
    winner: int,
    budget: int,
    title: str,
) -> Path:
    """Draws every candidate, the budget and the winner; and beside it each generation's rewards.

    Args:
        candidates: of one search, best first.
        reward: the one the search maximised.
        path: the PNG to write.
        winner: its position among the candidates.
        budget: FLOPs, drawn where it is near the candidates.
        title: above the picture.
    """
    flops = np.array([candidate.flops for candidate in candidates]) / 1e6
    values = np.array([candidate.reward(reward) for candidate in candidates])
    generations = np.array([candidate.generation for candidate in candidates])
    figure = matplotlib.figure.Figure(figsize=(11, 4.6), dpi=130, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    figure.suptitle(title, color=INK, fontsize=12)
    dots = left.scatter(
        flops[::-1],
        values[::-1],
        c=generations[::-1],
        cmap="viridis",
        s=16,
        alpha=0.8,
        linewidths=0,
    )
    best_one = candidates[winner]
    left.scatter(
        flops[winner],
        values[winner],
        marker="*",
        s=230,
        color=ACCENT,
        edgecolors="white",
        zorder=3,
        label=(
            f"winner: {best_one.flops / 1e6:.1f}M, M(q,q) {best_one.mqq:.1%}, "
            f"M(q,g) {best_one.mqg:.1%}"
        ),
    )
    if budget / 1e6 < 1.5 * flops.max():
        label = f"budget: {budget / 1e6:g}M"
        left.axvline(budget / 1e6, color=INK, linestyle="--", linewidth=1, label=label)
    left.set_ylim(top=values.max() + 0.2 * (np.ptp(values) or 1))  # room for the legend
    name = f"{reward.upper()} ({best_one.metric})"
    left.set_xlabel("MFLOPs at 224 x 224")
    left.set_ylabel(name)
    whole = matplotlib.ticker.MaxNLocator(integer=True)
    figure.colorbar(dots, ax=left, label="generation", pad=0.01, ticks=whole)
    left.legend(frameon=False, fontsize=8, loc="upper left")
    steps = np.unique(generations)
    rows = [values[generations == step] for step in steps]
    low, middle, high = (
        np.array([np.quantile(row, share) for row in rows]) for share in (0.25, 0.5, 0.75)
    )
    right.fill_between(steps, low, high, color="#3b528b", alpha=0.2, linewidth=0)
    right.plot(steps, middle, color="#3b528b", label="median of the new (middle half shaded)")
    best = np.maximum.accumulate([row.max() for row in rows])
    right.plot(steps, best, color=ACCENT, drawstyle="steps-post", label="best so far")
    right.set_xlabel("generation")
    right.set_ylabel(name)
    right.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    right.legend(frameon=False, fontsize=8, loc="lower right")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=FADED, labelcolor=INK)
        axes.grid(alpha=0.15)
    image = io.BytesIO()
    figure.savefig(image, format="png", metadata={"Software": None})
    return write_atomic(path, image.getvalue())
