"""Sustained benches and single streams: the curve of a device that heats up, and resuming."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgecmp.benchmarks import BenchPlan, bench
from edgecmp.benchmarks.bench import measure as bench_measure
from edgecmp.benchmarks.bench.measure import MOST_STREAM_S
from edgecmp.benchmarks.bench.plot import draw_bench
from edgecmp.benchmarks.devices import DeviceLostError, DeviceRunError, LocalDevice
from edgecmp.benchmarks.devices.open import KINDS
from edgecmp.errors import UserError
from edgecmp.export.formats.tflite.writer import tflite_bytes
from tests.benchmarks.devices.test_device import one_convolution

LOAD_S = 1.0
"""What loading takes on the device below, between two visits."""

RUN_S = 0.02


class Heating(LocalDevice):
    """A device with a clock of its own, whose runs take twice as long after ten minutes.

    From 50 degrees on it is one degree hotter each minute. It may be lost, or fail, at a visit.
    """

    name = "local"
    now_s = 0.0
    asked: list[tuple[str, int, float]]
    lost_at = fails_at = 0

    def conditions(self) -> dict[str, Any]:
        zones = {"thermal_zone0 cpu": 50 + Heating.now_s / 60, "thermal_zone1 skin": 30.0}
        return {"governor": "schedutil", "temperatures_c": zones, "frequencies_mhz": {}}

    @property
    def facts(self) -> dict[str, Any]:
        runtimes = {"litert": {"version": "1"}, "tflite-runtime": {"version": "2"}}
        return {"machine": "arm64", "cpu": "A76", "cores": 4, "governor": "schedutil"} | {
            "runtimes": runtimes
        }

    def time_model(self, model: Path, **options: Any) -> dict[str, Any]:
        before = self.conditions()
        self.asked.append((options["runtime"], options["runs"], options["least_seconds"]))
        if len(self.asked) == self.lost_at:
            raise DeviceLostError("local was lost.", "Connect it again.")
        if len(self.asked) == self.fails_at:
            raise DeviceRunError("it took longer than 660 s")
        Heating.now_s += LOAD_S
        start_s = Heating.now_s
        wall_s: list[float] = []
        while Heating.now_s < start_s + options["seconds"] and (
            len(wall_s) < options["runs"] or Heating.now_s < start_s + options["least_seconds"]
        ):
            wall_s.append(RUN_S * (1 + Heating.now_s / 600))
            Heating.now_s += wall_s[-1]
        return {
            "version": {"litert": "1", "tflite-runtime": "2"}[options["runtime"]],
            "input_shape": [1, 32, 32, 3],
            "seconds": Heating.now_s - start_s,
            "wall_us": [1e6 * wall for wall in wall_s],
            "cpu_us": [1e6 * wall for wall in wall_s],
            "switches": [0] * len(wall_s),
            "first_us": 2e4,
            "init_us": 1e6,
            "peak_memory_kb": 2048,
            "memory_before_kb": 1024,
            "before": before,
            "after": self.conditions(),
        }


@pytest.fixture
def heating(monkeypatch: pytest.MonkeyPatch) -> type[Heating]:
    monkeypatch.setitem(KINDS, "local", (lambda spec: Heating(), ()))
    monkeypatch.setattr(Heating, "asked", [], raising=False)
    for name in ("now_s", "lost_at", "fails_at"):
        monkeypatch.setattr(Heating, name, 0)
    clock = SimpleNamespace(monotonic=lambda: Heating.now_s)
    monkeypatch.setattr(bench_measure, "time", clock)
    return Heating


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "q.tflite"
    path.write_bytes(b"weights")
    return path


SUSTAINED = BenchPlan.of(sustained=10)


def test_the_curve_of_a_device_that_heats_up(heating: type[Heating], file: Path) -> None:
    report = bench([file], runtime="litert", plan=SUSTAINED)
    (row,) = json.loads(json.dumps(report.to_dict()))["rows"]
    assert heating.asked[0] == ("litert", bench_measure.PROBE_RUNS, 0.0)
    assert {asked[2] for asked in heating.asked[1:-1]} == {60.0}
    assert row["minutes"] == pytest.approx(10, abs=0.02)
    assert row["busy_percent"] == pytest.approx(100 * 60 / 61, abs=0.1)
    assert row["window_s"] == 10
    minutes = np.array([window["minute"] for window in row["curve"]])
    p50 = np.array([window["p50_ms"] for window in row["curve"]])
    assert len(minutes) == pytest.approx(60, abs=1)
    assert np.diff(minutes).min() > 0.15
    assert p50 == pytest.approx(1000 * RUN_S * (1 + (60 * minutes + 5) / 600), rel=0.01)
    assert row["first_window_ms"] == p50[0]
    assert row["slower_percent"] == pytest.approx(100 * (p50[-1] / p50[0] - 1))
    assert 90 < row["slower_percent"] < 100
    assert row["zone"] == "thermal_zone0 cpu"
    assert row["end_c"] - row["start_c"] == pytest.approx(10, abs=0.1)
    assert row["governor"] == "schedutil"
    assert row["conditions"][-1]["temperatures_c"]["thermal_zone1 skin"] == 30
    assert (row["runs"], row["statistic"]) == (
        sum(window["runs"] for window in row["curve"]),
        "not preempted",
    )


def test_rows_that_are_finished_are_not_measured_again(
    heating: type[Heating], file: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "bench.json"
    heating.lost_at = 2 + 10 + 4  # probes, the first row, and three visits of the second
    with pytest.raises(DeviceLostError):
        bench([file], plan=SUSTAINED, keep=kept)
    left = json.loads(kept.read_text())
    assert not left["complete"]
    first, second = left["rows"]
    assert (first["verdict"], second["verdict"]) == ("measured", "cut short")
    assert 0 < second["minutes"] < first["minutes"]
    assert len(second["curve"]) < len(first["curve"])

    heating.asked.clear()
    heating.lost_at = 0
    report = bench([file], plan=SUSTAINED, keep=kept)
    assert {asked[0] for asked in heating.asked} == {"tflite-runtime"}
    assert report.rows[0] == first
    assert [row["verdict"] for row in report.rows] == ["measured", "measured"]
    assert report.rows[1]["minutes"] == pytest.approx(10, abs=0.02)

    heating.asked.clear()  # a runtime that refuses the file now is a row, no fault of the file
    heating.fails_at = 1
    kept.write_text(json.dumps(left))
    rows = bench([file], plan=SUSTAINED, keep=kept).rows
    assert [row["verdict"] for row in rows] == ["measured", "failed"]
    heating.fails_at = 0

    kept.write_text(json.dumps(report.to_dict()))  # complete: who asks again wants it again
    heating.asked.clear()
    bench([file], plan=SUSTAINED, keep=kept)
    assert {asked[0] for asked in heating.asked} == {"litert", "tflite-runtime"}


def changed_file(left: dict[str, Any], file: Path) -> None:
    file.write_bytes(b"other weights")


def other_cpu(left: dict[str, Any], file: Path) -> None:
    left["device"]["cpu"] = "A55"


def other_minutes(left: dict[str, Any], file: Path) -> None:
    left["settings"]["minutes"] = 5.0


def other_version(left: dict[str, Any], file: Path) -> None:
    left["rows"][0]["version"] = "0.9"


def other_format(left: dict[str, Any], file: Path) -> None:
    left.pop("format")


@pytest.mark.parametrize(
    "change", [changed_file, other_cpu, other_minutes, other_version, other_format]
)
def test_rows_of_another_bench_are_not_taken(
    change: Any, heating: type[Heating], file: Path, tmp_path: Path
) -> None:
    report = bench([file], runtime="litert", plan=SUSTAINED)
    left = json.loads(json.dumps(report.to_dict() | {"complete": False}))
    kept = tmp_path / "bench.json"
    kept.write_text(json.dumps(left))
    heating.asked.clear()
    bench([file], runtime="litert", plan=SUSTAINED, keep=kept)
    assert heating.asked == []  # as it stands, its row is taken...
    change(left, file)
    kept.write_text(json.dumps(left))
    bench([file], runtime="litert", plan=SUSTAINED, keep=kept)
    assert heating.asked  # ...and changed it is not


def test_a_failure_in_mid_curve_keeps_the_curve(heating: type[Heating], file: Path) -> None:
    heating.fails_at = 1 + 5
    (row,) = bench([file], runtime="litert", plan=SUSTAINED).rows
    assert (row["verdict"], row["reason"]) == ("failed", "it took longer than 660 s")
    assert 3.9 < row["minutes"] < 4.2


def test_a_single_stream_has_its_queries_and_its_time(heating: type[Heating], file: Path) -> None:
    plan = BenchPlan.of(single_stream=True)
    (row,) = bench([file], runtime="litert", plan=plan).rows
    assert heating.asked == [("litert", 3, 0.0), ("litert", 1024, 60.0)]
    assert (row["queries"] >= 1024, row["seconds"] >= 60) == (True, True)
    assert row["statistic"] == "all runs"
    assert 1000 * RUN_S < row["p90_ms"] < 1200 * RUN_S


def test_a_single_stream_that_takes_too_long_has_failed(
    heating: type[Heating], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.benchmarks.bench.test_bench_long.RUN_S", MOST_STREAM_S / 500)
    (row,) = bench([file], runtime="litert", plan=BenchPlan.of(single_stream=True)).rows
    assert row["verdict"] == "failed"
    assert "queries in 1 h 00 min" in row["reason"]


def test_a_real_single_stream_counts_every_query(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "conv.tflite"
    path.write_bytes(tflite_bytes(one_convolution(8)))
    monkeypatch.setattr(bench_measure, "LEAST_SECONDS", 0.5)
    (row,) = bench([path], runtime="litert", plan=BenchPlan.of(single_stream=True)).rows
    assert row["queries"] == row["runs"] == row["counted"] >= 1024
    assert row["seconds"] >= 0.5
    assert row["queries"] * row["min_ms"] <= 1000 * row["seconds"]


def test_pictures_of_both_kinds(heating: type[Heating], file: Path, tmp_path: Path) -> None:
    for plan in (SUSTAINED, BenchPlan.of(single_stream=True)):
        report = bench([file], plan=plan)
        picture = draw_bench(report, tmp_path / f"{plan.mode}.png")
        assert picture.read_bytes().startswith(b"\x89PNG")
    report.rows[0]["p50_ms"] = report.rows[1]["p50_ms"] = None
    with pytest.raises(UserError, match="no row was measured"):
        draw_bench(report, tmp_path / "none.png")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sustained": 0.0}, "--sustained must be between 0 and 1440 minutes"),
        ({"sustained": 1e9}, "--sustained must be between 0 and 1440 minutes"),
        ({"sustained": 1.0, "single_stream": True}, "cannot be combined"),
        ({"runs": 2, "rounds": 4}, "4 rounds need at least 4 runs"),
        ({"runs": 2, "rounds": 0}, "at least 1 round"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        BenchPlan.of(**settings)
