"""The palette can be told apart by everybody; lines and legends name what they show."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecmp.plotting import (
    COLOURS,
    colour_of,
    colour_scale,
    horizontal_line,
    legend_below,
    metric_label,
    new_figure,
    save_figure,
    tidy,
    vertical_line,
)

Array = NDArray[np.float64]

SIGHT = {
    "full": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
"""Linear RGB as it is seen: Machado, Oliveira and Fernandes 2009, severity 1."""


def lab(colours: tuple[str, ...], sight: Array) -> Array:
    """CIELAB coordinates (N, 3) of sRGB colours, under D65."""
    rgb = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in colours]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]]
    )
    xyz = np.clip(linear @ sight.T, 0, 1) @ to_xyz.T / to_xyz.sum(1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116).T
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), 1)


@pytest.mark.parametrize("sight", SIGHT)
def test_any_two_colours_differ_for_everybody(sight: str) -> None:
    seen = lab(COLOURS, SIGHT[sight])
    pairs = itertools.combinations(seen, 2)
    assert min(float(np.linalg.norm(one - other)) for one, other in pairs) > 27


def test_neighbours_differ_in_grey() -> None:
    lightness = lab(COLOURS, SIGHT["full"])[:, 0]
    assert np.abs(np.diff(lightness)).min() > 18
    assert lightness.max() < 70  # or a thin line of it would be lost on white


def test_lab_is_that_of_known_colours() -> None:
    """White, and sRGB's red (53.2, 80.1, 67.2)."""
    known = lab(("#ffffff", "#ff0000"), SIGHT["full"])
    assert known == pytest.approx(np.array([[100, 0, 0], [53.24, 80.09, 67.2]]), abs=0.1)


def test_colours_begin_again_after_the_last() -> None:
    assert colour_of(len(COLOURS) + 1) == COLOURS[1]


def test_a_line_keeps_its_text_out_of_the_way() -> None:
    figure = new_figure(6, 4, title="a title")
    axes = figure.subplots()
    axes.plot([0, 1, 2], [0, 3, 1])
    texts = {
        "above": vertical_line(axes, 1.5, "the budget"),
        "right": horizontal_line(axes, 2, "ours", outside=True),
        "inside": horizontal_line(axes, 1, "the gallery model"),
    }
    tidy(axes)
    figure.draw_without_rendering()
    box = {name: text.get_window_extent() for name, text in texts.items()}
    assert box["above"].y0 >= axes.bbox.y1
    assert box["right"].x0 >= axes.bbox.x1
    assert box["right"].x1 <= figure.bbox.x1
    assert box["inside"].x1 <= axes.bbox.x1 + 1
    assert box["inside"].y0 > axes.transData.transform((0, 1))[1]


def test_one_legend_names_what_several_panels_share() -> None:
    figure = new_figure(6, 4)
    left, right = figure.subplots(1, 2)
    for axes, labels in ((left, ("a", "b")), (right, ("b", "c"))):
        for label in labels:
            axes.plot([0, 1], label=label)
    legend_below(figure, left, right)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "c"]
    figure.draw_without_rendering()
    assert legend.get_window_extent().y1 <= min(axes.get_tightbbox().y0 for axes in (left, right))
    legend_below(new_figure(6, 4), new_figure(6, 4).subplots())  # nothing to name


def test_a_scale_of_generations_has_no_fractions() -> None:
    figure = new_figure(6, 4)
    axes = figure.subplots()
    colour_scale(axes, axes.scatter([0, 1], [0, 1], c=[1, 3]), "generation", whole=True)
    scale = figure.axes[1]
    assert scale.get_ylabel() == "generation"
    assert all(tick == round(tick) for tick in scale.get_yticks())


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("top10", "top-10"),
        ("tar", "TAR@FAR=1e-3"),
        ("far1e-4", "TAR@FAR=1e-4"),
        ("tar_far1e-2", "TAR@FAR=1e-2"),
        ("cheap", "cheap"),
    ],
)
def test_metrics_are_written_as_in_the_field(name: str, label: str) -> None:
    assert metric_label(name) == label


def test_the_same_picture_is_the_same_file(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        figure = new_figure(3, 2, title="a title")
        figure.subplots().plot([0, 1], color=colour_of(0))
        save_figure(figure, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert b"matplotlib" not in (tmp_path / "one.png").read_bytes()


def test_matplotlib_waits_for_the_first_picture() -> None:
    code = "import sys; import edgecmp.plotting; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
