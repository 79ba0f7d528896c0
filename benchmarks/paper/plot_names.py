"""Labels of the dots of a picture, placed where they cover the least."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgecmp.plotting import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation, Text
    from matplotlib.transforms import Bbox

__all__ = ["name_dot", "place_names"]

SIDES = tuple(
    {"position": position, "horizontalalignment": across, "verticalalignment": along}
    for position, across, along in (
        ((5, 4), "left", "bottom"),
        ((5, -4), "left", "top"),
        ((-5, 4), "right", "bottom"),
        ((-5, -4), "right", "top"),
        ((0, 7), "center", "bottom"),
        ((0, -7), "center", "top"),
    )
)
"""The possible places of a label: offset from its dot in points, and its alignment."""

MARGIN = 2
"""Pixels around dots and lines that labels avoid."""


def name_dot(axes: Axes, name: str, x: float, y: float) -> Annotation:
    """Adds the label of a dot at the first place; `place_names` moves it."""
    return axes.annotate(
        name, (x, y), xytext=(5, 4), textcoords="offset points", fontsize=7.5, color=INK
    )


def place_names(axes: Axes, names: Sequence[Text]) -> None:
    """Moves each label to the place around its dot where it covers the least.

    Dots, straight lines, texts, labels that were placed before, and the margins are avoided.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # positions are known only after the layout
    taken = [line.get_window_extent().padded(MARGIN) for line in axes.get_lines()]
    taken += [text.get_window_extent() for text in axes.texts if text not in names]
    for name in names:

        def cover(side: dict[str, Any], name: Text = name) -> float:
            name.set(**side)
            box = name.get_window_extent()
            outside = float(box.width * box.height) - _shared(box, axes.bbox)
            return outside + sum(_shared(box, other) for other in taken)

        name.set(**min(SIDES, key=cover))
        taken.append(name.get_window_extent())


def _shared(one: Bbox, other: Bbox) -> float:
    """The area of the intersection."""
    from matplotlib.transforms import Bbox

    both = Bbox.intersection(one, other)
    return 0.0 if both is None else float(both.width * both.height)
