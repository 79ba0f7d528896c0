"""The pictures of tables, from the runs that ship: what they say, and that nothing overlaps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.figure
import pytest
from matplotlib.figure import Figure

from edgecmp.benchmarks.paper import TABLES, listing, plot
from edgecmp.benchmarks.paper.plot_names import name_dot, place_names
from edgecmp.benchmarks.paper.table import Group
from edgecmp.plotting import horizontal_line


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Draws a table by its name; returns the figure."""
    figures: list[Figure] = []

    def keep(figure: Figure, path: Path) -> Path:
        figures.append(figure)
        return path

    monkeypatch.setattr(plot, "save_figure", keep)

    def draw(name: str, groups: Sequence[Group] | None = None) -> Figure:
        groups = listing(name).groups if groups is None else groups
        plot.draw(TABLES[name], groups, Path("x.png"), data="emoji")
        figures[-1].draw_without_rendering()
        return figures[-1]

    return draw


def words(figure: Figure) -> str:
    """All texts of the panels."""
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    return "\n".join(texts + [axes.get_xlabel() for axes in figure.axes])


def check_clear(figure: Figure) -> None:
    """No text covers another, and none runs out of the picture."""
    boxes = [
        text.get_window_extent()
        for axes in figure.axes
        for text in (*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label)
        if text.get_text()
    ]
    boxes += [legend.get_window_extent() for legend in figure.legends]
    boxes.append(figure._suptitle.get_window_extent())  # type: ignore[attr-defined]
    assert len(boxes) > 6
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)


@pytest.mark.parametrize("name", TABLES)
def test_no_text_covers_another(name: str, drawn: Any) -> None:
    check_clear(drawn(name))


def test_the_line_of_table_3_is_the_gallery_model(drawn: Any) -> None:
    left, right = drawn("table3").axes
    paragon = listing("table3").groups[0]
    for axes, value in ((left, paragon.published["top10"]), (right, paragon.ours["top10"])):
        assert f"gallery model on both sides: {value:.1f}" in [t.get_text() for t in axes.texts]
    assert "not published: MobileNetV2(0.5x)" in left.get_xlabel()
    assert left.get_ylabel() == "top-10, %"


def test_table_4_prints_every_figure_of_the_paper(drawn: Any) -> None:
    """A bar of 0 has its figure too."""
    figure = drawn("table4")
    groups = listing("table4").groups
    for panel, method in ((0, "magnitude"), (2, "channel")):
        printed = sorted(text.get_text() for text in figure.axes[panel].texts)
        rows = [group.published for group in groups if group.system.startswith(method)]
        figures = [f"{value:.1f}" for row in rows for value in row.values()]
        assert printed == sorted([*figures, f"{groups[0].published['scratch']:.1f}"])
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["not pruned", "from scratch", "fine-tuned", "BCT", "KD"]


def test_figure_1_compares_the_claims_with_our_means(drawn: Any) -> None:
    means = {
        group.system: sum(group.values["top10"]) / 5
        for group in listing("figure1").groups
        if group.group == "heterogeneous"
    }
    told = words(drawn("figure1"))
    assert f"R2: {means['BCT R2'] - means['vanilla R2']:+.1f}" in told
    over = [f"{means['BCT R3'] - means[f'BCT {other}']:+.1f}" for other in ("R1", "R2")]
    assert f"BCT: {over[0]} and {over[1]}" in told


@pytest.mark.parametrize("name", TABLES)
def test_a_table_without_runs_is_drawn(name: str, drawn: Any, tmp_path: Path) -> None:
    groups = listing(name, recipe_name="emoji-tiny", out=tmp_path).groups
    assert all(group.state == "not run" for group in groups)
    figure = drawn(name, groups)
    assert "not run" in words(figure) or name == "table4"
    check_clear(figure)


def test_names_of_near_dots_keep_clear_of_each_other() -> None:
    """Two dots a name's height apart and a third at the edge, where a name would run out."""
    figure = matplotlib.figure.Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, x, y in (("left one", 1.0, 1.0), ("right one", 1.1, 1.02), ("at the edge", 3.0, 2.0)):
        axes.plot(x, y, "o", markersize=7)
        name_dot(axes, name, x, y)
    figure.draw_without_rendering()
    before = [text.get_window_extent() for text in axes.texts]
    assert before[0].overlaps(before[1])
    place_names(axes, axes.texts)
    after = [text.get_window_extent() for text in axes.texts]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(after, 2))
    assert all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 for box in after)


def test_a_name_keeps_clear_of_a_line_and_its_text() -> None:
    """The line runs where the name would be, above its dot."""
    figure = matplotlib.figure.Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, 4), ylim=(0, 4))
    axes.plot(3.0, 1.95, "o", markersize=7)
    line = horizontal_line(axes, 2.08, "the gallery model")
    name = name_dot(axes, "a network", 3.0, 1.95)
    figure.draw_without_rendering()
    height = axes.transData.transform((0, 2.08))[1]
    box = name.get_window_extent()
    assert box.y0 < height < box.y1
    place_names(axes, [name])
    box = name.get_window_extent()
    assert box.y1 < height
    assert not box.overlaps(line.get_window_extent())
