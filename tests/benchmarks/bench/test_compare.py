"""A bench against an earlier one: ratios of what is alike, and refusals that name what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgecmp.benchmarks import BenchPlan, bench
from edgecmp.benchmarks.devices import LocalDevice
from edgecmp.benchmarks.devices.open import KINDS
from edgecmp.errors import UserError

PLAN = BenchPlan(runs=20, rounds=2)


class Phone(LocalDevice):
    """A device whose runs all take the same, and whose conditions can be set."""

    run_ms = 4.0
    governor = "performance"
    governor_after = "performance"
    version = "1"
    cpu = "A76"
    input_shape = (1, 32, 32, 3)
    switches = 0

    @property
    def facts(self) -> dict[str, Any]:
        return {
            **{"machine": "arm64", "cpu": self.cpu, "cores": 4, "governor": self.governor},
            "runtimes": {"litert": {"version": self.version}},
        }

    def time_model(self, model: Path, **options: Any) -> dict[str, Any]:
        return {
            "version": self.version,
            "input_shape": self.input_shape,
            "wall_us": [1000 * self.run_ms] * options["runs"],
            "cpu_us": [900 * self.run_ms] * options["runs"],
            "switches": [self.switches] * options["runs"],
            **{"first_us": 2e4, "init_us": 1e6},
            **{"peak_memory_kb": 2048, "memory_before_kb": 1024},
            "before": {"governor": self.governor, "temperatures_c": {}},
            "after": {"governor": self.governor_after, "temperatures_c": {}},
        }


@pytest.fixture
def phone(monkeypatch: pytest.MonkeyPatch) -> type[Phone]:
    monkeypatch.setitem(KINDS, "local", (lambda spec: Phone(), ()))
    settable = ("run_ms", "governor", "governor_after", "version", "cpu", "switches", "input_shape")
    for name in settable:
        monkeypatch.setattr(Phone, name, getattr(Phone, name))
    return Phone


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a.tflite", tmp_path / "b.tflite"]
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths


@pytest.fixture
def earlier(phone: type[Phone], files: list[Path], tmp_path: Path) -> Path:
    path = tmp_path / "earlier.json"
    path.write_text(json.dumps(bench(files, plan=PLAN).to_dict()))
    return path


def test_each_row_gets_its_ratio(phone: type[Phone], files: list[Path], earlier: Path) -> None:
    phone.run_ms = 5.0
    report = bench(files, threads=(1, 2), plan=PLAN, compare=earlier)
    assert report.earlier == str(earlier)
    for row in report.rows:
        alike = row["threads"] == 1
        assert (row["earlier_ms"], row["ratio"]) == ((4.0, 1.25) if alike else (None, None))
        assert row["not_compared"] == ("" if alike else "not measured in both benches")


def test_one_file_is_compared_with_one_of_another_name(
    phone: type[Phone], files: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps(bench(files[:1], plan=PLAN).to_dict()))
    phone.run_ms = 2.0
    (row,) = bench(files[1:], plan=PLAN, compare=path).rows
    assert (row["earlier_ms"], row["ratio"]) == (4.0, 0.5)


@pytest.mark.parametrize(
    ("change", "arguments", "says"),
    [
        ({"governor": "powersave"}, {}, "governor performance then, powersave now"),
        ({"version": "2"}, {}, "version of litert 1 then, 2 now"),
        ({"cpu": "A55"}, {}, "cpu A76 then, A55 now"),
        ({}, {"threads": (2, 4)}, "threads 1 then, 2 and 4 now"),
        (
            {},
            {"plan": BenchPlan(runs=20, rounds=2, input_size=(64, 48))},
            r"input_size None then, \[64, 48\] now",
        ),
        ({}, {"plan": BenchPlan.of(single_stream=True)}, "mode warm then, single-stream now"),
        (
            {"version": "2", "governor": "powersave"},
            {},
            "governor performance then, powersave now; version of litert 1 then, 2 now",
        ),
    ],
)
def test_other_conditions_are_refused_before_anything_is_measured(
    change: dict[str, Any],
    arguments: dict[str, Any],
    says: str,
    phone: type[Phone],
    files: list[Path],
    earlier: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in change.items():
        monkeypatch.setattr(phone, name, value)
    monkeypatch.setattr(phone, "time_model", lambda *_, **__: pytest.fail("it measured"))
    wanted: dict[str, Any] = {"plan": PLAN, "compare": earlier} | arguments
    with pytest.raises(UserError, match=f"different conditions: {says}\\."):
        bench(files, **wanted)


def test_other_files_are_refused(files: list[Path], earlier: Path, tmp_path: Path) -> None:
    third = tmp_path / "c.tflite"
    third.write_bytes(b"c")
    with pytest.raises(UserError, match=r"file a\.tflite and b\.tflite then, c\.tflite now"):
        bench([third], plan=PLAN, compare=earlier)


def test_rows_that_turned_out_otherwise_get_no_ratio(
    phone: type[Phone], files: list[Path], earlier: Path
) -> None:
    phone.governor_after = "powersave"
    report = bench(files, plan=PLAN, compare=earlier)
    reason = "governor performance then, performance and powersave now"
    assert {(row["ratio"], row["not_compared"]) for row in report.rows} == {(None, reason)}

    phone.governor_after, phone.switches = "performance", 1  # thread CPU time is undisturbed too
    assert {row["ratio"] for row in bench(files, plan=PLAN, compare=earlier).rows} == {0.9}

    document = json.loads(earlier.read_text())
    for row in document["rows"]:
        row["statistic"] = "all runs"
    earlier.write_text(json.dumps(document))
    report = bench(files, plan=PLAN, compare=earlier)
    reason = "all runs then, thread CPU time now"
    assert {(row["ratio"], row["not_compared"]) for row in report.rows} == {(None, reason)}


def test_another_input_gets_no_ratio(
    phone: type[Phone], files: list[Path], earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phone, "input_shape", (1, 64, 64, 3))
    report = bench(files, plan=PLAN, compare=earlier)
    reason = "input 1x32x32x3 then, 1x64x64x3 now"
    assert {(row["ratio"], row["not_compared"]) for row in report.rows} == {(None, reason)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "edgecmp-something/2"}, "is not a bench in the format"),
        ({"format": "edgecmp-bench/1"}, "has the format edgecmp-bench/1, but .* Measure it again"),
        ({"complete": "half"}, "is not a complete document of a bench: complete: "),
        ({"device": {}}, "is not a complete document of a bench: device.name: field required"),
        ({"rows": [{}]}, "is not a complete document of a bench: rows.0.file: field required"),
        ({"provenance": None}, "is not a complete document of a bench: provenance: "),
        ({"complete": False}, "was interrupted. Finish it first with: "),
        ({"rows": []}, "contains no measured row"),
    ],
)
def test_what_is_no_whole_bench_is_refused(
    change: dict[str, Any], says: str, files: list[Path], earlier: Path
) -> None:
    earlier.write_text(json.dumps(json.loads(earlier.read_text()) | change))
    with pytest.raises(UserError, match=says):
        bench(files, plan=PLAN, compare=earlier)
