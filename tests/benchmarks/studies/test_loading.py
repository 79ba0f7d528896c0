"""The loading study measures every case, from files and shards that it writes itself."""

from __future__ import annotations

from edgecmp.benchmarks.studies.image_files import FILES, measure_files
from edgecmp.benchmarks.studies.loading import MEMORY, measure


def test_every_case_has_a_speed_and_memory_is_the_measure() -> None:
    rows = {row["case"]: row for row in measure(128, 32, 1, 1)}
    assert rows[MEMORY]["ratio"] == 1
    assert len(rows) == 5
    assert all(row["images_per_s"] > 0 and row["cpu_ms"] > 0 for row in rows.values())
    reading = rows["reading alone, 1 process"]["cpu_ms"]
    assert reading < rows[MEMORY]["cpu_ms"]  # decoding is less work than a training step


def test_every_kind_of_file_is_opened_and_read() -> None:
    rows = measure_files(1, share=0.01, side=32)
    assert [row["files"] for row in rows] == list(FILES)
    small = next(row for row in rows if row["files"] == "112-pixel JPEG")
    large = next(row for row in rows if row["files"].startswith("12-megapixel"))
    assert small["opened_per_s"] > 10 * large["opened_per_s"] > 0
    assert small["read_per_s"] > 10 * large["read_per_s"] > 0
