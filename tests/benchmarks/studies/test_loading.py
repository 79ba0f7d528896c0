"""The loading study measures every case, from shards that it writes itself."""

from __future__ import annotations

from edgecmp.benchmarks.studies.loading import MEMORY, measure


def test_every_case_has_a_speed_and_memory_is_the_measure() -> None:
    rows = {row["case"]: row for row in measure(128, 32, 1, 1)}
    assert rows[MEMORY]["ratio"] == 1
    assert len(rows) == 5
    assert all(row["images_per_s"] > 0 and row["cpu_ms"] > 0 for row in rows.values())
    reading = rows["reading alone, 1 process"]["cpu_ms"]
    assert reading < rows[MEMORY]["cpu_ms"]  # decoding is less work than a training step
