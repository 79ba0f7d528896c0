"""The study of batches that are prepared ahead times both loops."""

from __future__ import annotations

from edgecmp.benchmarks.studies.ahead import CASES, measure


def test_both_loops_are_timed_and_the_usual_one_is_the_measure() -> None:
    rows = {row["case"]: row for row in measure(None, steps=1, rounds=1)}
    assert list(rows) == list(CASES)
    assert rows["in turn"]["ratio"] == 1
    assert all(row["ms_per_image"] > 0 for row in rows.values())
