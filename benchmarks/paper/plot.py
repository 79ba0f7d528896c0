"""The picture of a table: the published figures on the left, the measured ones on the right."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from edgecmp.benchmarks.paper.plot_names import name_dot, place_names
from edgecmp.benchmarks.paper.systems import GALLERY
from edgecmp.benchmarks.paper.table import Group, Table
from edgecmp.plotting import (
    ACCENT,
    INK,
    MUTED,
    colour_of,
    horizontal_line,
    legend_below,
    metric_label,
    new_figure,
    save_figure,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

__all__ = ["draw"]

PROTOCOLS = {"homogeneous": "M(q,q)", "heterogeneous": "M(q,g)"}

TRAININGS = {"scratch": "from scratch", "fine_tune": "fine-tuned", "bct": "BCT", "kd": "KD"}
"""By column of table 4: its label in the picture."""

BAR = 0.88 / len(TRAININGS)
"""Width of a bar including its gap; the pruned amounts are 1 apart on the axis."""

LINE = 72
"""Characters per line below a panel."""

REWARDS = ("R1", "R2", "R3")


def draw(table: Table, groups: Sequence[Group], path: Path, *, data: str) -> Path:
    """Draws a table: accuracy over MFLOPs, over the pruned amount, or per search."""
    paint = {"table4": _pruned, "figure1": _rewards}.get(table.name, _networks)
    figure = new_figure(11, 5, title=f"{table.name}: {table.title}")
    paint(figure, groups, f"published, {table.published_data}", f"ours, {data}")
    return save_figure(figure, path)


def _networks(figure: Figure, groups: Sequence[Group], published: str, ours: str) -> None:
    """The middle metric over MFLOPs: one panel of published and one of measured figures."""
    columns = list(groups[0].published)
    metric = columns[len(columns) // 2]
    panels = figure.subplots(1, 2)
    names = []
    for axes, title, own in zip(panels, (published, ours), (False, True), strict=True):
        values = {
            (group.system, group.group): (group.ours if own else group.published).get(metric)
            for group in groups
        }
        key = "mflops" if own else "published_mflops"
        mflops = {group.system: group.facts.get(key) for group in groups}
        names.append(_dots(axes, values, mflops))
        missing = [name for name in mflops if name != GALLERY and mflops[name] is None]
        absent = f"{'not run' if own else 'not published'}: {', '.join(missing)}" * bool(missing)
        axes.set_title(title)
        axes.set_xlabel(f"MFLOPs at 224 x 224\n{textwrap.fill(absent, LINE)}")
        axes.set_ylabel(f"{metric_label(metric)}, %")
    tidy(*panels)
    legend_below(figure, *panels)
    for axes, texts in zip(panels, names, strict=True):
        place_names(axes, texts)


def _dots(
    axes: Axes, values: Mapping[tuple[str, str], float | None], mflops: Mapping[str, float | None]
) -> list[Annotation]:
    """A large dot per M(q,g), a small one per M(q,q), and a line for the gallery model.

    Returns:
        The labels of the large dots.
    """
    names = []
    for system, x in mflops.items():
        own, against = (values.get((system, group)) for group in PROTOCOLS)
        if system == GALLERY and own is not None:
            horizontal_line(axes, own, f"gallery model on both sides: {own:.1f}")
        if x is None or own is None or against is None:
            continue
        searched = system.startswith("CMP-NAS")
        kind, colour = ("CMP-NAS", ACCENT) if searched else ("baseline", colour_of(0))
        axes.plot([x, x], [own, against], color=colour, linewidth=1, alpha=0.4)
        axes.plot(x, own, "o", color=colour, markersize=4, alpha=0.5, label=f"{kind}, M(q,q)")
        axes.plot(x, against, "o", color=colour, markersize=7, label=f"{kind}, M(q,g)")
        names.append(name_dot(axes, system, x, against))
    return names


def _pruned(figure: Figure, groups: Sequence[Group], published: str, ours: str) -> None:
    """Bars over the pruned amount: a row of panels per pruning method, a colour per training."""
    figure.set_size_inches(12, 6.4)
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    for row, method in zip(panels, ("magnitude", "channel"), strict=True):
        rows = [group for group in groups[1:] if group.system.startswith(method)]
        amounts = [group.system.split()[1] for group in rows]
        for axes, own in zip(row, (False, True), strict=True):
            whole, *values = [
                group.ours if own else group.published for group in (groups[0], *rows)
            ]
            _bar(axes, [(0, whole.get("scratch"))], MUTED, "not pruned")
            for place, (name, label) in enumerate(TRAININGS.items()):
                shift = 1 + (place - (len(TRAININGS) - 1) / 2) * BAR
                heights = [(x + shift, value.get(name)) for x, value in enumerate(values)]
                _bar(axes, heights, colour_of(place), label)
            axes.set_xticks(range(len(rows) + 1), ["0%", *amounts])
        row[0].set_ylabel(f"{method} pruning: M(q,g), %")
    for axes, title in zip(panels[0], (published, ours), strict=True):
        axes.set_title(title)
    for axes in panels[1]:
        axes.set_xlabel("filters pruned")
    tidy(*panels.flat)
    for axes in panels.flat:
        axes.set_ylim(0, 100)
        axes.grid(axis="x", visible=False)
    legend_below(figure, *panels.flat, columns=5)


def _bar(
    axes: Axes, heights: Sequence[tuple[float, float | None]], colour: str, label: str
) -> None:
    """Bars of one colour at (x, percent), each with its value above it; None is left out."""
    known = [(x, value) for x, value in heights if value is not None]
    bars = axes.bar(
        [x for x, _ in known],
        [value for _, value in known],
        0.92 * BAR,
        color=colour,
        label=label,
    )
    axes.bar_label(bars, fmt="%.1f", fontsize=7, padding=1.5, color=INK)


def _rewards(figure: Figure, groups: Sequence[Group], published: str, ours: str) -> None:
    """The networks of each search as dots, their mean as a line, and the paper's claims as text."""
    figure.set_size_inches(13, 4.6)
    words, *panels = figure.subplots(1, 3, width_ratios=(0.75, 1, 1))
    for axes, (protocol, name) in zip(panels, PROTOCOLS.items(), strict=True):
        rows = [group for group in groups if group.group == protocol and group.values]
        for place, row in enumerate(rows):
            colour = ACCENT if row.system.startswith("BCT") else colour_of(0)
            values, mean = row.values["top10"], row.ours["top10"]
            axes.plot([place] * len(values), values, "o", color=colour, markersize=6, alpha=0.4)
            axes.hlines(mean, place - 0.25, place + 0.25, color=colour, linewidth=2.5)
            axes.annotate(
                f"{mean:.1f}",
                (place + 0.25, mean),
                xytext=(2, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=INK,
            )
        axes.set_xticks(range(len(rows)), [row.system.replace(" ", "\n") for row in rows])
        axes.set_xlim(-0.6, len(rows) - 0.2)
        axes.set_ylabel(f"{name} top-10, %")
        axes.set_xlabel("supernet and reward (dot: one network; line: mean)")
        axes.set_title(f"{ours}: {name}")
    tidy(*panels)
    _claims(words, groups, published)


def _claims(axes: Axes, groups: Sequence[Group], published: str) -> None:
    """The paper's claims about its figure, which has no numbers, and the measured differences."""
    means = {
        group.system: fmean(group.values["top10"])
        for group in groups
        if group.group == "heterogeneous" and group.values
    }

    def lead(one: str, other: str) -> str:
        known = one in means and other in means
        return f"{means[one] - means[other]:+.1f}" if known else "not run"

    bct = [f"{reward}: {lead(f'BCT {reward}', f'vanilla {reward}')}" for reward in REWARDS]
    best = [
        f"{strategy}: {lead(f'{strategy} R3', f'{strategy} R1')} and "
        f"{lead(f'{strategy} R3', f'{strategy} R2')}"
        for strategy in ("vanilla", "BCT")
    ]
    axes.set_axis_off()
    axes.set_title(textwrap.fill(published, 34), color=INK, fontsize=9.5)
    text = "\n\n".join(
        (
            "The published bars (supplement, Fig. 1)\nhave no numbers. The claims of the\n"
            "paper, and our M(q,g):",
            "1. A BCT supernet is better than a\nvanilla one under every reward.",
            "Ours, BCT minus vanilla, points:\n  " + "\n  ".join(bct),
            "2. R3 is better than R1 and R2\n(caption: always; text: generally).",
            "Ours, R3 minus R1 and minus R2, points:\n  " + "\n  ".join(best),
        )
    )
    axes.text(0, 0.97, text, transform=axes.transAxes, va="top", fontsize=8.5, color=INK)
