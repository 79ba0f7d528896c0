"""The picture of parity counts the queries that a file lost, and says how far the worst fell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from edgecmp.export.parity import plot
from edgecmp.export.parity.retrieval import RetrievalResult


def ranked(*ranks: int) -> RetrievalResult:
    """Queries whose right image has these ranks; the picture reads nothing else."""
    count = len(ranks)
    none = np.zeros((count, 10), np.int64)
    return RetrievalResult(
        images=none,
        hits=none > 0,
        best=np.zeros(count, np.float32),
        ranks=np.array(ranks),
        genuine=none[:, 0],
        accepted=none[:, 0],
    )


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Draws rows against ranks; returns the figure."""
    figures: list[Figure] = []

    def keep(figure: Figure, path: Path) -> Path:
        figures.append(figure)
        return path

    monkeypatch.setattr(plot, "save_figure", keep)

    def draw(
        reference: RetrievalResult,
        rows: list[tuple[str, NDArray[np.float64], RetrievalResult]],
        queries_note: str = "",
    ) -> Figure:
        plot.draw_parity(Path("x.png"), reference, rows, queries_note)
        figures[-1].draw_without_rendering()
        return figures[-1]

    return draw


def test_each_row_counts_what_fell_and_what_came(drawn: Any) -> None:
    reference = ranked(1, 1, 1, 2, 9, 10, 11, 300)
    exact = np.ones(8)
    worse = ranked(2, 40, 1, 1, 12, 10, 10, 200)
    figure = drawn(
        reference,
        [("tflite fp32, litert", exact, reference), ("tflite int8, litert", exact - 1e-3, worse)],
    )
    _, first, top = figure.axes
    assert [text.get_text() for text in first.texts] == ["0", "0", "-2", "+1"]
    counts, falls = top.texts[:4], top.texts[4:]
    assert [text.get_text() for text in counts] == ["0", "0", "-2", "+1"]
    assert [text.get_text() for text in falls[:2]] == ["none", "rank 1 to 40"]
    assert first.get_xlim() == top.get_xlim()


def test_what_the_queries_are_is_said_below_the_title(drawn: Any) -> None:
    rows = [("tflite fp32, litert", np.ones(2), ranked(1, 1))]
    assert drawn(ranked(1, 1), rows).get_suptitle() == "Each file against torch, 2 queries"
    title = drawn(ranked(1, 1), rows, "The queries are altered copies.").get_suptitle()
    assert title == "Each file against torch, 2 queries\nThe queries are altered copies."


def test_names_and_numbers_keep_clear_of_each_other(drawn: Any) -> None:
    reference = ranked(*range(1, 41))
    moved = ranked(*range(40, 0, -1))
    labels = [f"tflite int8-weights image {place}, tflite-runtime" for place in range(14)]
    figure = drawn(reference, [(label, np.full(40, 0.99), moved) for label in labels])
    texts = [text for axes in figure.axes for text in axes.texts]
    texts += figure.axes[0].get_yticklabels()
    boxes = [text.get_window_extent() for text in texts]
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:place])
        assert 0 <= box.x0 <= box.x1 <= figure.bbox.x1


def test_no_file_that_ran_is_an_empty_picture(tmp_path: Path) -> None:
    path = plot.draw_parity(tmp_path / "none.png", ranked(1, 2), [])
    assert path.read_bytes().startswith(b"\x89PNG")
