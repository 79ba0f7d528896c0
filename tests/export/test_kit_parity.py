"""The starter kit on every query of its test split: the bounds that the exports are held to."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecmp.export import export, parity

FILES = (
    ("tflite", "fp32", "tensor"),
    ("tflite", "fp32", "image"),
    ("tflite", "fp16", "tensor"),
    ("tflite", "int8-weights", "tensor"),
    ("tflite", "int8", "tensor"),
    ("tflite", "int8", "image"),
    ("onnx", "fp32", "tensor"),
)
MIN_COSINE = {"fp32": 0.99999, "fp16": 0.9995}
MAX_CHANGE = {"int8-weights": 0.2, "int8": 0.5}


def test_the_kit_finds_on_the_device_what_it_finds_on_the_server(tmp_path: Path) -> None:
    files = [
        export(
            target, precision=precision, input=reads, out=tmp_path / f"{reads}-{precision}.{target}"
        )
        for target, precision, reads in FILES
    ]
    report = parity([file.path for file in files])
    assert report.passed, report.rows
    assert report.queries == 4512
    for row in report.rows:
        precision = row["precision"]
        if precision in MIN_COSINE:
            assert row["min_cosine"] >= MIN_COSINE[precision], row
        if precision in MAX_CHANGE:
            assert abs(row["delta_top10"]) <= MAX_CHANGE[precision], row
        assert row["rule"] != "broken"
        assert row["delta_tar"] == pytest.approx(0, abs=1)
    both = {(row["precision"], row["runtime"]) for row in report.rows if row["target"] == "tflite"}
    assert len(both) == 2 * 4
