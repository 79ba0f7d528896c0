"""The starter kit on a third of its test split: the bounds that the exports are held to.

All 4,512 queries: `edgecmp export --target T --precision P --out F`, then `edgecmp parity F`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecmp.export import export, parity, targets

QUERIES = 1504

FILES = (
    ("tflite", "fp32", "tensor"),
    ("tflite", "fp32", "image"),
    ("tflite", "fp16", "tensor"),
    ("tflite", "int8-weights", "tensor"),
    ("tflite", "int8", "tensor"),
    ("tflite", "int8", "image"),
    ("onnx", "fp32", "tensor"),
    ("onnx", "fp16", "tensor"),
    ("coreml", "fp32", "tensor"),
    ("coreml", "fp16", "image"),
    ("coreml", "int8-weights", "tensor"),
)
MIN_COSINE = {
    ("tflite", "fp32"): 0.99999,
    ("tflite", "fp16"): 0.9995,
    ("onnx", "fp32"): 0.99999,
    ("onnx", "fp16"): 0.9995,
    ("coreml", "fp32"): 0.99999,
    ("coreml", "fp16"): 0.999,
}
MAX_CHANGE = {"int8-weights": 0.2, "int8": 0.5}
"""Largest change of top-10 accuracy, in points."""


@pytest.mark.slow
def test_the_kit_finds_on_the_device_what_it_finds_on_the_server(tmp_path: Path) -> None:
    files = [
        export(
            target,
            precision=precision,
            input=reads,
            out=tmp_path / f"{reads}-{precision}{targets()[target].suffix}",
        )
        for target, precision, reads in FILES
    ]
    report = parity([file.path for file in files], limit=QUERIES)
    assert report.passed, report.rows
    assert report.queries == QUERIES
    run = [row for row in report.rows if row["verdict"] == "pass"]
    for row in run:
        kind = row["target"], row["precision"]
        if kind in MIN_COSINE:
            assert row["min_cosine"] >= MIN_COSINE[kind], row
        if kind[1] in MAX_CHANGE:
            assert abs(row["delta_top10"]) <= MAX_CHANGE[kind[1]], row
        assert row["rule"] != "broken"
        assert row["delta_tar"] == pytest.approx(0, abs=1)
    both = {(row["precision"], row["runtime"]) for row in run if row["target"] == "tflite"}
    assert len(both) == 2 * 4
    assert {row["precision"] for row in run if row["target"] == "coreml"} == {
        precision for target, precision, _ in FILES if target == "coreml"
    }
