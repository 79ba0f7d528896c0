"""search.png: reward against FLOPs, generation by generation."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import matplotlib.figure
import numpy as np

from edgecmp.files import write_atomic
from edgecmp.search.candidate import Candidate

__all__ = ["draw_search"]

INK, FADED, ACCENT = "#222222", "#888888", "#d1495b"


def draw_search(
    candidates: Sequence[Candidate], reward: str, path: Path, *, budget: int, title: str
) -> Path:
    """Draws every candidate, the budget and the winner; and beside it each generation's rewards.

    Args:
        candidates: of one search, best first.
        reward: the one the search maximised.
        path: the PNG to write.
        budget: FLOPs, drawn where it is near the candidates.
        title: above the picture.
    """
    flops = np.array([candidate.flops for candidate in candidates]) / 1e6
    values = np.array([candidate.reward(reward) for candidate in candidates])
    generations = np.array([candidate.generation for candidate in candidates]) + 1
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
    left.scatter(
        flops[:1], values[:1], marker="*", s=230, color=ACCENT, edgecolors="white", zorder=3
    )
    winner = candidates[0]
    left.annotate(
        f"winner: {winner.flops / 1e6:.1f}M\nM(q,q) {winner.mqq:.1%}, M(q,g) {winner.mqg:.1%}",
        (flops[0], values[0]),
        xytext=(-12, 0),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=8,
        color=ACCENT,
    )
    if budget / 1e6 < 1.5 * flops.max():
        left.axvline(budget / 1e6, color=INK, linestyle="--", linewidth=1)
        left.annotate(
            f"budget {budget / 1e6:g}M",
            (budget / 1e6, 0.02),
            xycoords=("data", "axes fraction"),
            xytext=(-3, 0),
            textcoords="offset points",
            rotation=90,
            ha="right",
            fontsize=8,
            color=INK,
        )
    name = f"{reward.upper()} on {winner.metric}"
    left.set_xlabel("MFLOPs at 224 x 224")
    left.set_ylabel(name)
    figure.colorbar(dots, ax=left, label="generation", pad=0.01)
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
    right.xaxis.get_major_locator().set_params(integer=True)
    right.legend(frameon=False, fontsize=8, loc="lower right")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=FADED, labelcolor=INK)
        axes.grid(alpha=0.15)
    image = io.BytesIO()
    figure.savefig(image, format="png", metadata={"Software": None})
    return write_atomic(path, image.getvalue())
