"""The loading study measures every case, from files and shards that it writes itself."""

from __future__ import annotations

from edgecmp.benchmarks.studies.image_files import FILES, measure_files
from edgecmp.benchmarks.studies.loading import MEMORY, measure


def test_every_case_has_a_speed_and_memory_is_the_measure() -> None:
    rows = {row["case"]: row for row in measure(128, 32, 1, 1)}
    assert rows[MEMORY]["ratio"] == 1
    assert len(rows) == 5
    assert all(row["images_per_s"] > 0 and row["cpu_ms"] > 0 for row in rows.values())


def test_every_kind_of_file_is_opened_and_read() -> None:
    rows = measure_files(1, share=0.01, side=32)
    assert [row["files"] for row in rows] == list(FILES)
    assert all(row["opened_per_s"] > 0 and row["read_per_s"] > 0 for row in rows)
