"""The table is what the JSON holds, in a form that fits a screen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import TIERS
from edgecmp.report import key_values, table_text
from edgecmp.search.space.flops import FlopsTable


@pytest.mark.parametrize("tier", TIERS)
def test_flops_prints_and_writes_the_counts(
    tier: str, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    arch = Architecture.random(tier, seed=5, embedding_dim=96, input_size=64)
    arch.save(tmp_path / "a.json")
    result = edgecmp("flops", tmp_path / "a.json", "--json", tmp_path / "sub" / "f.json")
    assert result.code == 0
    (row,) = json.loads((tmp_path / "sub" / "f.json").read_text())["rows"]
    table = FlopsTable.of(tier, 224, 96)
    assert row["flops_224"] == table.count(arch)
    assert row["macs_224"] == table.macs(arch)
    assert row["macs_deployed"] == FlopsTable.of(tier, 64, 96).macs(arch)
    assert row["macs_deployed"] < row["macs_224"] < row["flops_224"]
    assert f"{row['flops_224']:,}" in result.out
    assert str(tmp_path / "sub" / "f.json") in result.out


def test_table_shows_what_fits_and_nothing_empty() -> None:
    rows: list[dict[str, Any]] = [
        {"file": "a[b].onnx", "p50_ms": 1.23456, "cosine_min": 0.9999996, "note": "", "deep": [1]},
        {"file": "c", "p50_ms": None, "cosine_min": -0.5, "note": None, "deep": [2]},
    ]
    lines = table_text(rows, width=100).splitlines()
    assert lines[0].split() == ["file", "p50_ms", "cosine_min"]
    assert lines[2].split() == ["a[b].onnx", "1.235", "1.000000"]
    assert lines[3].split() == ["c", "-", "-0.500000"]
    assert table_text(rows, columns=("cosine_min",), width=100).splitlines()[0] == "cosine_min"


def test_files_are_named_without_folders_where_that_is_enough() -> None:
    rows = [{"file": "runs/a/q.onnx", "n": 1}, {"file": "runs/a/q.tflite", "n": 2}]
    assert "runs" not in table_text(rows, width=80)
    rows[1]["file"] = "runs/b/q.onnx"
    assert "runs/b/q.onnx" in table_text(rows, width=80)
    rows[1]["file"] = rows[0]["file"]
    assert "runs" not in table_text(rows, width=80)


def test_long_cells_are_folded_on_a_terminal_and_whole_in_a_pipe() -> None:
    rows = [{"file": "x" * 150, "verdict": "pass"}]
    assert max(map(len, table_text(rows, width=80).splitlines())) <= 80
    assert "x" * 150 in table_text(rows, width=240)


def test_key_values_stand_in_a_column_and_are_not_folded_in_a_pipe() -> None:
    pairs = {
        "what": "x",
        "a_long_key": {"n": 1234, "deep": {"share": 0.5, "on": True}, "none": None},
        "sha256": "0123456789abcdef" * 4,
        "sizes": [1, 2],
        "empty": {},
        "in a_b": "y",
        "command": "word " * 100,
    }
    lines = key_values(pairs, indent=2).splitlines()
    assert lines[:5] == [
        "  what        x",
        "  a long key  n 1,234, deep (share 0.5, on yes)",
        "  sha256      0123456789ab",
        "  sizes       1 2",
        "  in a_b      y",
    ]
    assert len(lines) == 6
    assert lines[5].count("word") == 100
