"""One look for all pictures: palette, axes, labels, and PNG files that are written whole.

matplotlib is imported inside the functions: it takes half a second, and most commands draw nothing.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edgecmp.errors import UserError
from edgecmp.files import write_atomic
from edgecmp.progress import say

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

__all__ = [
    "ACCENT",
    "COLOURS",
    "INK",
    "MUTED",
    "SEQUENTIAL",
    "colour_of",
    "colour_scale",
    "horizontal_line",
    "legend_below",
    "metric_label",
    "new_figure",
    "save_figure",
    "tidy",
    "try_draw",
    "vertical_line",
]

INK, MUTED, ACCENT = "#222222", "#888888", "#d1495b"
"""Text and reference lines; what stands back; the one thing that the picture is about."""

COLOURS = (
    "#3b528b",
    "#cc7a5c",
    "#763dcc",
    "#94b21b",
    "#802213",
    "#50b2ac",
    "#4c2e3e",
    "#ce8eed",
)
"""Colours of categories, in order, dark and light by turns.

Neighbours differ by 18 or more in lightness (CIELAB L*), so they also differ in grey; any two
differ by 27 or more (CIELAB) for full colour vision, protanopia, deuteranopia and tritanopia.
"""

SEQUENTIAL = "viridis"
"""The colour map of quantities."""

DOTS_PER_INCH = 130
PER_INCH = 12
"""Characters of a title on an inch of its width."""

SMALL = 8
"""Points; the size of labels, ticks and legends."""


def colour_of(place: int) -> str:
    """The colour of the category at that place, from 0; the ninth has the first one's again."""
    return COLOURS[place % len(COLOURS)]


def new_figure(width: float, height: float, *, title: str = "") -> Figure:
    """An empty figure of that many inches, laid out so that nothing overlaps.

    Lines of the title that are wider than the figure are folded.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    if title:
        lines = (textwrap.fill(line, int(width * PER_INCH)) for line in title.splitlines())
        figure.suptitle("\n".join(lines), color=INK, fontsize=11)
    return figure


def tidy(*panels: Axes) -> None:
    """No frame above and on the right, small labels, and a faint grid behind the data."""
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["bottom", "left"]].set_color(MUTED)
        axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=SMALL)
        axes.grid(alpha=0.15)
        axes.set_axisbelow(True)
        axes.title.set(color=INK, fontsize=SMALL + 1.5)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set(color=INK, fontsize=SMALL + 1)


def horizontal_line(axes: Axes, y: float, text: str, *, outside: bool = False) -> Annotation:
    """A dashed line across the panel, with its text above its right end or outside the panel."""
    axes.axhline(y, color=INK, linestyle="--", linewidth=1, zorder=1)
    return axes.annotate(
        text,
        (1, y),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0) if outside else (0, 3),
        textcoords="offset points",
        ha="left" if outside else "right",
        va="center" if outside else "bottom",
        fontsize=SMALL,
        color=INK,
    )


def vertical_line(axes: Axes, x: float, text: str) -> Annotation:
    """A dashed line up the panel, with its text above the panel, clear of all data."""
    axes.axvline(x, color=INK, linestyle="--", linewidth=1, zorder=1)
    return axes.annotate(
        text,
        (x, 1),
        xycoords=("data", "axes fraction"),
        xytext=(2, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=SMALL,
        color=INK,
    )


def colour_scale(axes: Axes, dots: ScalarMappable, label: str, *, whole: bool = False) -> None:
    """The scale of coloured dots, at the right of their panel; `whole`: its ticks are integers."""
    from matplotlib.ticker import MaxNLocator

    figure = axes.get_figure(root=True)
    assert figure is not None
    ticks = MaxNLocator(integer=True) if whole else None
    scale = figure.colorbar(dots, ax=axes, pad=0.01, ticks=ticks)
    scale.set_label(label, color=INK, fontsize=SMALL + 1)
    scale.ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=SMALL)
    scale.outline.set_visible(False)


def legend_below(figure: Figure, *panels: Axes, columns: int = 4) -> None:
    """One legend for all panels, below them; a label that several panels have stands once."""
    entries: dict[str, Artist] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        for handle, label in zip(handles, labels, strict=True):
            entries.setdefault(label, handle)
    if entries:
        figure.legend(
            entries.values(),
            entries,
            loc="outside lower center",
            ncols=columns,
            frameon=False,
            fontsize=SMALL,
        )


def metric_label(name: str) -> str:
    """A metric as it is written in a picture: "top-10" for "top10", "TAR@FAR=1e-3" for "tar"."""
    if name == "tar":
        return "TAR@FAR=1e-3"
    if place := re.fullmatch(r"top(\d+)", name):
        return f"top-{place[1]}"
    if rate := re.fullmatch(r"(?:tar_)?far(1e-\d)", name):
        return f"TAR@FAR={rate[1]}"
    return name


def save_figure(figure: Figure, path: Path) -> Path:
    """Writes the figure as a PNG, atomically and without the date or version that made it.

    Raises:
        UserError: the file cannot be written.
    """
    image = io.BytesIO()
    figure.savefig(image, format="png", metadata={"Software": None})
    return write_atomic(path, image.getvalue())


def try_draw(draw: Callable[[], Path]) -> Path | None:
    """Draws what a finished result does not depend on; a failure is told and loses nothing else.

    Args:
        draw: draws the picture and returns its path.

    Returns:
        The path; None if the picture could not be written.
    """
    try:
        return draw()
    except (UserError, OSError, MemoryError) as error:
        reason = error if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        say(f"The picture was not written, but the result is complete. {reason}")
        return None
