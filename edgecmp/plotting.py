"""One look for all pictures: palette, axes, and PNG files that are written whole."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from edgecmp.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure  # takes half a second to import

__all__ = ["ACCENT", "COLOURS", "INK", "MUTED", "SEQUENTIAL", "new_figure", "save_figure", "tidy"]

INK, MUTED, ACCENT = "#222222", "#888888", "#d1495b"
"""Text and bounds; what stands back; the one thing that the picture is about."""

COLOURS = ("#3b528b", "#d1495b", "#21918c", "#edae49", "#8d6a9f", "#66a182", "#444444", "#a0a0a0")
"""Colours of categories, in order; neighbours also differ in lightness."""

SEQUENTIAL = "viridis"
"""The colour map of quantities."""

DOTS_PER_INCH = 130


def new_figure(width: float, height: float, *, title: str = "") -> Figure:
    """An empty figure of that many inches, laid out so that nothing overlaps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    if title:
        figure.suptitle(title, color=INK, fontsize=11)
    return figure


def tidy(*panels: Axes) -> None:
    """No frame above and on the right, quiet ticks, and a faint grid behind the data."""
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=MUTED, labelcolor=INK)
        axes.grid(alpha=0.15)
        axes.set_axisbelow(True)


def save_figure(figure: Figure, path: Path) -> Path:
    """Writes the figure as a PNG, atomically and without the date or version that made it.

    Raises:
        UserError: the file cannot be written.
    """
    image = io.BytesIO()
    figure.savefig(image, format="png", metadata={"Software": None})
    return write_atomic(path, image.getvalue())
