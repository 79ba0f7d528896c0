"""search.png: reward against FLOPs, generation by generation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgecmp.plotting import (
    ACCENT,
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

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_search"]


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
    figure = new_figure(11, 4.6, title=title)
    left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    _candidates(left, candidates, reward, winner=winner, budget=budget)
    _generations(right, candidates, reward)
    for axes in (left, right):
        axes.set_ylabel(f"{reward.upper()} ({metric_label(candidates[winner].metric)})")
    tidy(left, right)
    return save_figure(figure, path)


def _candidates(
    axes: Axes, candidates: Sequence[Candidate], reward: str, *, winner: int, budget: int
) -> None:
    """A dot for each candidate, coloured by its generation; a star for the winner."""
    mflops = np.array([candidate.flops for candidate in candidates]) / 1e6
    values = np.array([candidate.reward(reward) for candidate in candidates])
    dots = axes.scatter(
        mflops[::-1],
        values[::-1],
        c=[candidate.generation for candidate in reversed(candidates)],
        cmap=SEQUENTIAL,
        s=16,
        alpha=0.8,
        linewidths=0,
    )
    best = candidates[winner]
    axes.scatter(
        mflops[winner],
        values[winner],
        marker="*",
        s=230,
        color=ACCENT,
        edgecolors="white",
        zorder=3,
        label=(
            f"winner: {best.flops / 1e6:.1f} MFLOPs, M(q,q) {best.mqq:.1%}, M(q,g) {best.mqg:.1%}"
        ),
    )
    if budget / 1e6 < 1.5 * mflops.max():
        vertical_line(axes, budget / 1e6, f"budget: {budget / 1e6:g} MFLOPs")
    axes.set_ylim(top=values.max() + 0.15 * (np.ptp(values) or 1))  # room for the legend
    axes.set_xlabel("MFLOPs at 224 x 224")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    colour_scale(axes, dots, "generation", whole=True)


def _generations(axes: Axes, candidates: Sequence[Candidate], reward: str) -> None:
    """The best reward so far, and where each generation's new candidates lie."""
    from matplotlib.ticker import MaxNLocator

    values = np.array([candidate.reward(reward) for candidate in candidates])
    generations = np.array([candidate.generation for candidate in candidates])
    steps = np.unique(generations)
    rows = [values[generations == step] for step in steps]
    low, middle, high = (
        np.array([np.quantile(row, share) for row in rows]) for share in (0.25, 0.5, 0.75)
    )
    blue = colour_of(0)
    axes.fill_between(
        steps, low, high, color=blue, alpha=0.2, linewidth=0, label="middle half of the new ones"
    )
    axes.plot(steps, middle, color=blue, label="median of the new ones")
    best = np.maximum.accumulate([row.max() for row in rows])
    axes.plot(steps, best, color=ACCENT, drawstyle="steps-post", label="best so far")
    axes.set_xlabel("generation")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8, loc="lower right")
