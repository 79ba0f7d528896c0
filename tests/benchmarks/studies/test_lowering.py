"""The table with the effect of each rewrite."""

from __future__ import annotations

from edgecmp.benchmarks.studies.lowering import FULL, baseline_graphs, measure, table
from tests.fixtures.runtimes import TFLITE_RUNTIMES


def test_a_rewrite_that_does_nothing_is_not_timed() -> None:
    rows = measure(baseline_graphs(["shufflenetv2_w1"], 64), runs=2, rounds=1)
    assert {row["runtime"] for row in rows} == set(TFLITE_RUNTIMES)
    for row in rows:
        done = ("fold_bn off", "fold_shuffle off", "narrow_concat off")
        assert set(row["ratio"]) == {FULL, *done, "all off"}
        assert row["ratio"][FULL] == 1
        assert all(
            0 < row["min_ms"][variant] <= row["p50_ms"][variant] for variant in row["p50_ms"]
        )
    line = table(rows).splitlines()[1]
    assert line.startswith("shufflenetv2_w1 ")
    assert "same" in line
