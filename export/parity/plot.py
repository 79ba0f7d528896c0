"""The picture of a parity run: how far each embedding moved, and what that did to the ranks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.export.parity.retrieval import TOP, Finds
from edgecmp.files import write_atomic

__all__ = ["draw_parity"]

SMALLEST = 1e-8
"""Below it a distance is float rounding."""


def draw_parity(
    path: Path, reference: Finds, drawn: Sequence[tuple[str, NDArray[np.float64], Finds]]
) -> Path:
    """Writes a .png with one colour a file and runtime.

    Args:
        path: where to.
        reference: what torch finds.
        drawn: label, cosine of each query (Q,) with torch's embedding, and finds.
    """
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    shift = np.random.default_rng(0).uniform(-0.18, 0.18, (3, len(reference.ranks)))
    for number, (label, cosines, finds) in enumerate(drawn):
        style = {"color": f"C{number % 10}", "alpha": 0.5, "linewidths": 0}
        distance = np.maximum(1 - cosines, SMALLEST)
        left.scatter(number + 1.8 * shift[2], distance, s=4, **style)
        left.plot([number - 0.4, number + 0.4], [np.median(distance)] * 2, color="0.1")
        moved = finds.ranks != reference.ranks
        right.scatter(
            np.maximum(reference.ranks[moved] + shift[0, moved], 0.8),
            np.maximum(finds.ranks[moved] + shift[1, moved], 0.8),
            s=9,
            label=f"{label}: {int(moved.sum())} moved" if moved.any() else None,
            **style,
        )
    left.set_xticks(
        range(len(drawn)), [label for label, _, _ in drawn], rotation=40, ha="right", fontsize=8
    )
    _finish(left, right, int(reference.ranks.max()))
    stored = io.BytesIO()
    figure.savefig(stored, format="png", dpi=110)
    return write_atomic(path, stored.getvalue())


def _finish(left: Any, right: Any, most: int) -> None:
    left.set_yscale("log")
    left.set_ylabel("1 - cosine between the file's and torch's embedding")
    left.set_title("How far each query moved; bars: medians")
    right.set_xscale("log")
    right.set_yscale("log")
    right.plot([0.8, most], [0.8, most], color="0.6", linewidth=0.8)
    right.axvline(TOP + 0.5, color="0.8", linewidth=0.8, linestyle=":")
    right.axhline(TOP + 0.5, color="0.8", linewidth=0.8, linestyle=":")
    right.set_xlabel("rank of the right image (torch)")
    right.set_ylabel("rank of the right image (file)")
    right.set_title("Queries whose rank changed; dotted: top-10")
    for axes in (left, right):
        axes.grid(alpha=0.2)
    if right.get_legend_handles_labels()[0]:
        right.legend(fontsize=7, markerscale=2, loc="center left", bbox_to_anchor=(1.01, 0.5))
