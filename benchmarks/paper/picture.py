"""The picture of a table: the paper's figures on the left, ours on the right."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.axes
import matplotlib.figure
import numpy as np
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from edgecmp.benchmarks.paper.systems import GALLERY
from edgecmp.benchmarks.paper.table import Group, Table
from edgecmp.files import write_atomic

__all__ = ["draw"]

INK, FADED = "#222222", "#888888"
COLOURS = ("#3b528b", "#d1495b", "#21918c", "#edae49")
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
"""Of a dot: where its name may be, in points, and which part of the name is there."""


def draw(table: Table, groups: Sequence[Group], path: Path, *, data: str) -> Path:
    """Draws a table: accuracy over MFLOPs, over the pruned amount, or a search's networks."""
    figure = matplotlib.figure.Figure(dpi=130, layout="constrained")
    if table.name == "figure1":
        _means(figure, groups, data)
    else:
        figure.set_size_inches(11, 4.6)
        left, right = figure.subplots(1, 2)
        paint = _pruned if table.name == "table4" else _networks
        paint(left, groups, ours=False)
        paint(right, groups, ours=True)
        left.set_title(f"published, {table.published_data}", color=INK, fontsize=10)
        right.set_title(f"ours, {data}", color=INK, fontsize=10)
        for axes in (left, right):
            _tidy(axes)
            _spread_names(axes)
    figure.suptitle(f"{table.name}: {table.title}", color=INK, fontsize=11)
    image = io.BytesIO()
    figure.savefig(image, format="png", metadata={"Software": None})
    return write_atomic(path, image.getvalue())


def _tidy(axes: matplotlib.axes.Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=FADED, labelcolor=INK)
    axes.grid(alpha=0.15)
    axes.set_axisbelow(True)


def _networks(axes: matplotlib.axes.Axes, groups: Sequence[Group], *, ours: bool) -> None:
    """The middle metric by MFLOPs; the gallery model on both sides is the dashed line."""
    key = "mflops" if ours else "published_mflops"
    for group in groups:
        values = group.ours if ours else group.published
        name = list(values)[len(values) // 2] if values else ""
        value = values.get(name)
        if value is None:
            continue
        axes.set_ylabel(name, color=INK)
        if group.system == GALLERY:
            axes.axhline(value, color=FADED, linestyle="--", linewidth=1)
            continue
        x = group.facts[key]
        colour = COLOURS[1] if group.system.startswith("CMP-NAS") else COLOURS[0]
        if group.group == "homogeneous":
            axes.plot(x, value, "o", color=colour, markersize=4, alpha=0.4)
            continue
        axes.plot(x, value, "o", color=colour, markersize=7)
        axes.annotate(
            group.system, (x, value), xytext=(5, 4), textcoords="offset points", fontsize=7
        )
    axes.set_xlabel("MFLOPs; small: M(q,q), large: M(q,g)", color=INK)


def _spread_names(axes: matplotlib.axes.Axes) -> None:
    """Puts each dot's name on that side of it where it covers least of dots, names and margins."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # positions are known after the layout
    reach = 4 * figure.dpi / 72  # half a dot, in pixels
    lines = [np.asarray(line.get_xydata()) for line in axes.get_lines()]
    dots = [axes.transData.transform(line[0]) for line in lines if len(line) == 1]
    taken = [Bbox.from_extents(*(dot - reach), *(dot + reach)) for dot in dots]
    for name in axes.texts:

        def cover(side: dict[str, Any], name: Text = name) -> float:
            name.set(**side)
            box = name.get_window_extent()
            outside = float(box.width * box.height) - _shared(box, axes.bbox)
            return outside + sum(_shared(box, other) for other in taken)

        name.set(**min(SIDES, key=cover))
        taken.append(name.get_window_extent())


def _shared(one: Bbox, other: Bbox) -> float:
    """The area that both cover."""
    both = Bbox.intersection(one, other)
    return 0.0 if both is None else float(both.width * both.height)


def _pruned(axes: matplotlib.axes.Axes, groups: Sequence[Group], *, ours: bool) -> None:
    """Accuracy over the pruned amount: a colour a training method, dashed for channel pruning."""
    for style, method in (("-", "magnitude"), ("--", "channel")):
        rows = [group for group in groups if group.system.startswith(method)]
        names = list(rows[0].published)
        for colour, name in zip(COLOURS, names, strict=True):
            points = [
                (float(row.system.split()[1].rstrip("%")), value)
                for row in rows
                if (value := (row.ours if ours else row.published).get(name)) is not None
            ]
            if points:
                axes.plot(*zip(*points, strict=True), style, marker="o", markersize=4, color=colour)
                axes.plot([], [], style, color=colour, label=f"{name}, {method}")
    axes.set_xlabel("filters pruned, %", color=INK)
    axes.legend(fontsize=7, frameon=False)


def _means(figure: matplotlib.figure.Figure, groups: Sequence[Group], data: str) -> None:
    """The networks of each search as dots and their mean as a line; one panel a protocol."""
    figure.set_size_inches(10, 4)
    panels = figure.subplots(1, 2)
    for axes, protocol in zip(panels, ("homogeneous", "heterogeneous"), strict=True):
        rows = [group for group in groups if group.group == protocol and group.values]
        for place, row in enumerate(rows):
            colour = COLOURS[1] if row.system.startswith("BCT") else COLOURS[0]
            values, mean = row.values["top10"], row.ours["top10"]
            axes.plot([place] * len(values), values, "o", color=colour, markersize=6, alpha=0.4)
            axes.hlines(mean, place - 0.3, place + 0.3, color=colour, linewidth=2.5)
            axes.annotate(
                f"{mean:.1f}",
                (place + 0.3, mean),
                xytext=(2, -3),
                textcoords="offset points",
                fontsize=8,
            )
        axes.set_xticks(range(len(rows)), [row.system for row in rows], rotation=30, fontsize=8)
        axes.set_xlim(-0.6, len(rows) - 0.2)
        name = "M(q,q)" if protocol == "homogeneous" else "M(q,g)"
        axes.set_title(f"{name}, ours, {data}: top-10", color=INK, fontsize=10)
        _tidy(axes)
