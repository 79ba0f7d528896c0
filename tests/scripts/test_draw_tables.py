"""The pictures of docs/results/paper-tables.md come from the runs that ship, without training."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scripts.draw_tables import main

DOCS = Path(__file__).parents[2] / "docs"


def test_docs_have_the_pictures_that_it_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["draw_tables", str(tmp_path)])
    main()
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == ["figure1.png", "table3.png", "table4.png"]
    text = (DOCS / "results" / "paper-tables.md").read_text()
    for name in drawn:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert f"(../images/{name})" in text
