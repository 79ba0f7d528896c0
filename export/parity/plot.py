"""The picture of a parity run: how far each embedding moved, and which queries that cost a place.

One row per file and runtime. A query is "lost" from the top k if torch has an image of its identity
among the first k and the file has not, and "gained" the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecmp.export.parity.retrieval import TOP, RetrievalResult
from edgecmp.plotting import ACCENT, INK, MUTED, colour_of, new_figure, save_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_parity"]

SMALLEST = 1e-8
"""Below it a distance is float rounding."""

WITHIN = (5, 95)
"""Percentiles between which the thick bar of a row lies."""


def draw_parity(
    path: Path,
    reference: RetrievalResult,
    drawn: Sequence[tuple[str, NDArray[np.float64], RetrievalResult]],
    queries_note: str = "",
) -> Path:
    """Writes a .png with one row per file and runtime.

    Args:
        path: where to.
        reference: torch's result.
        drawn: label, cosine of each query (Q,) with torch's embedding, and the file's result.
        queries_note: a sentence on what the queries are, below the title.
    """
    queries = len(reference.ranks)
    figure = new_figure(
        13,
        1.7 + 0.36 * max(2, len(drawn)),
        title="\n".join(
            filter(None, (f"Each file against torch, {queries:,} queries", queries_note))
        ),
    )
    far, first, top = figure.subplots(1, 3, sharey=True, width_ratios=(1.5, 1, 1))
    _distances(far, [cosines for _, cosines, _ in drawn])
    ranks = [result.ranks for _, _, result in drawn]
    most = max(_changes(axes, reference.ranks, ranks, k) for axes, k in ((first, 1), (top, TOP)))
    _falls(top, reference.ranks, ranks)
    tidy(far, first, top)
    far.set_yticks(range(len(drawn)), [label for label, _, _ in drawn])
    far.set_ylim(len(drawn) - 0.4, -0.6)
    far.grid(axis="y", visible=False)
    for axes in (first, top):
        axes.set_xlim(-1.35 * most, 1.35 * most)  # room for the numbers
        axes.grid(visible=False)
        axes.spines["left"].set_visible(False)
        axes.tick_params(left=False)
    return save_figure(figure, path)


def _distances(axes: Axes, cosines: Sequence[NDArray[np.float64]]) -> None:
    """1 - cosine of each row: a dot at the median, a thick bar for most, a thin line for all."""
    blue = colour_of(0)
    axes.set_xscale("log")
    for row, cosine in enumerate(cosines):
        distance = np.maximum(1 - cosine, SMALLEST)
        axes.plot([distance.min(), distance.max()], [row] * 2, color=blue, linewidth=1)
        axes.plot(np.percentile(distance, WITHIN), [row] * 2, color=blue, linewidth=7, alpha=0.4)
        axes.plot(np.median(distance), row, "o", color=blue, markersize=6)
    axes.set_xlim(left=SMALLEST / 2)
    axes.set_xlabel(
        "1 - cosine with torch's embedding\n"
        f"dot: median; bar: {WITHIN[0]}th to {WITHIN[1]}th percentile; line: all queries; "
        "at the left edge: float rounding"
    )
    axes.set_title("How far each embedding moved")


def _changes(
    axes: Axes, before: NDArray[np.int64], ranks: Sequence[NDArray[np.int64]], k: int
) -> int:
    """How many queries each row lost from the top k, to the left, and gained, to the right.

    Returns:
        The longest bar, in queries.
    """
    lost = [int(((before <= k) & (after > k)).sum()) for after in ranks]
    gained = [int(((before > k) & (after <= k)).sum()) for after in ranks]
    rows = range(len(ranks))
    axes.barh(rows, [-count for count in lost], 0.6, color=ACCENT)
    axes.barh(rows, gained, 0.6, color=colour_of(0))
    axes.axvline(0, color=INK, linewidth=0.8)
    for row, (down, up) in enumerate(zip(lost, gained, strict=True)):
        for count, sign, side in ((down, -1, "right"), (up, 1, "left")):
            axes.annotate(
                f"{sign * count:+d}" if count else "0",
                (sign * count, row),
                xytext=(3 * sign, 0),
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=8,
                color=INK if count else MUTED,
            )
    axes.set_xticks([])
    axes.set_xlabel("queries lost | queries gained")
    axes.set_title(f"Right identity in the top-{k}")
    return max((*lost, *gained, 1))


def _falls(axes: Axes, before: NDArray[np.int64], ranks: Sequence[NDArray[np.int64]]) -> None:
    """The furthest fall out of the top 10 of each row, in words at the right of the panel."""
    for row, after in enumerate(ranks):
        fallen = np.flatnonzero((before <= TOP) & (after > TOP))
        worst = max(fallen, key=lambda query: after[query] - before[query], default=None)
        axes.annotate(
            "none" if worst is None else f"rank {before[worst]} to {after[worst]}",
            (1.03, row),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            color=MUTED if worst is None else INK,
            annotation_clip=False,
        )
    axes.annotate(
        f"furthest fall\nout of the top-{TOP}",
        (1.03, 1),
        xycoords="axes fraction",
        xytext=(0, 5),
        textcoords="offset points",
        va="bottom",
        fontsize=8,
        color=INK,
    )
