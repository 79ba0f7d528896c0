"""`edgecmp bench` as a user runs it: tables of each mode, pictures, comparisons, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecmp.benchmarks.bench import measure as bench_measure
from edgecmp.benchmarks.bench import plot as bench_plot
from edgecmp.errors import UserError
from edgecmp.export.formats.tflite.writer import tflite_bytes
from tests.benchmarks.devices.test_device import one_convolution

Edgecmp = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "conv.tflite"
    path.write_bytes(tflite_bytes(one_convolution(8)))
    return path


def test_a_bench_its_profile_its_picture_and_a_comparison(
    file: Path, tmp_path: Path, edgecmp: Edgecmp
) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    picture = tmp_path / "bench.png"
    one = ("bench", file, "--runtime", "litert")
    result = edgecmp(*one, "--profile", "--picture", picture, "--json", first)
    assert result.code == 0, result.err
    assert "cold_ms" in result.out
    assert "GFLOP/s" in result.out
    assert f"Wrote the picture: {picture}" in result.out
    assert picture.read_bytes().startswith(b"\x89PNG")

    result = edgecmp(*one, "--compare", first, "--picture", picture, "--json", second)
    assert result.code == 0, result.err
    (row,) = json.loads(second.read_text())["rows"]
    assert row["earlier_ms"] == json.loads(first.read_text())["rows"][0]["p50_ms"]
    assert row["ratio"] == row["p50_ms"] / row["earlier_ms"]
    assert "ratio" in result.out

    result = edgecmp("bench", file, "--threads", "2", "--compare", first)
    assert result.code == 2
    assert "threads 1 then, 2 now" in result.err
    document = json.loads(first.read_text())
    document["device"]["governor"] = "powersave"
    first.write_text(json.dumps(document))
    result = edgecmp(*one, "--compare", first)
    assert result.code == 2
    assert "governor powersave then" in result.err


def test_a_picture_that_cannot_be_drawn_leaves_the_table_and_the_json(
    file: Path, tmp_path: Path, edgecmp: Edgecmp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise UserError("The disk is full: bench.png was not written.", "Free some space.")

    monkeypatch.setattr(bench_plot, "draw_bench", full)
    report = tmp_path / "bench.json"
    options = ("--runtime", "litert", "--picture", tmp_path / "bench.png", "--json", report)
    result = edgecmp("bench", file, *options)
    assert result.code == 2
    assert "error: The disk is full: bench.png was not written." in result.err
    assert "measured" in result.out
    assert json.loads(report.read_text())["rows"][0]["verdict"] == "measured"


@pytest.mark.slow
def test_the_curve_and_the_stream(
    file: Path, tmp_path: Path, edgecmp: Edgecmp, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "curve.png"
    one = ("bench", file, "--runtime", "litert")
    result = edgecmp(*one, "--sustained", "0.05", "--picture", picture)
    assert result.code == 0, result.err
    assert "slower_percent" in result.out
    assert "Sustained: 3 seconds" in result.err
    assert picture.read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(bench_measure, "LEAST_SECONDS", 0.2)
    result = edgecmp(*one, "--single-stream")
    assert result.code == 0, result.err
    assert "queries" in result.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--picture bench.jpg", "--picture must be a .png file (got bench.jpg)"),
        ("--compare a.json --json a.json", "name the same file"),
        ("--compare {file}", "is not a bench"),
        ("--compare nowhere.json", "cannot be read as a bench"),
        ("--picture {file}/bench.png", "conv.tflite/bench.png cannot be written: Not a directory"),
        ("--json {file}/bench.json", "conv.tflite/bench.json cannot be written: Not a directory"),
        ("--input-size 0", "--input-size must be a number of pixels or height x width (got '0')"),
        ("--device ssh://root@[::1]:99999", "The port of ssh must be from 1 to 65535"),
        ("--sustained 0", "--sustained must be between 0 and 1440 minutes (got 0)"),
        ("--sustained 1 --single-stream", "--sustained and --single-stream cannot be combined"),
        ("--runtime lightrt", "Did you mean litert"),
        ("--device coreml:local", "needs macOS"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_measured(
    options: str, says: str, file: Path, edgecmp: Edgecmp
) -> None:
    result = edgecmp("bench", file, *options.format(file=file).split())
    assert result.code == 2
    assert result.out == ""
    assert result.err.count("\n") == 1
    assert says in result.err
