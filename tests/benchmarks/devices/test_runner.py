"""The runner as a file that goes to other machines: what it needs, and what it reads there."""

from __future__ import annotations

import ast
import sys
import time
from pathlib import Path

import pytest

from edgecmp.benchmarks.devices.on_device import litert_profiler, runner

OLDEST = (3, 8)
"""The oldest Python that a board may have."""

ALONE = {"numpy", "ai_edge_litert"}
"""What the files may import besides Python's own."""


@pytest.mark.parametrize("module", [runner, litert_profiler])
def test_it_needs_nothing_of_edgecmp_and_no_new_python(module: object) -> None:
    source = Path(str(module.__file__)).read_text()  # type: ignore[attr-defined]
    tree = ast.parse(source, feature_version=OLDEST)
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert "json" in imported
    assert imported <= ALONE | sys.stdlib_module_names


def test_conditions_are_read_from_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "class/thermal/thermal_zone0/temp": "51200",
        "class/thermal/thermal_zone0/type": "cpu-thermal",
        "class/thermal/thermal_zone1/temp": "-500",
        "class/thermal/thermal_zone1/type": "skin",
        "class/thermal/thermal_zone2/type": "asleep",
        "devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil\n",
        "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1800000",
        "devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "<unsupported>",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(runner, "SYSTEM", tmp_path)
    found = runner.conditions()
    assert found["governor"] == "schedutil"
    assert found["temperatures_c"] == {
        "thermal_zone0 cpu-thermal": 51.2,
        "thermal_zone1 skin": -0.5,
    }
    assert found["frequencies_mhz"] == {"cpu0": 1800}


def test_runs_go_on_until_number_and_time_are_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now_s[0])

    def run() -> None:
        now_s[0] += 1.0

    def count(runs: int, seconds: float, least_seconds: float = 0.0) -> tuple[int, float]:
        timed = runner.time_runs(run, runs, seconds, least_seconds)
        assert len(timed["wall_us"]) == len(timed["cpu_us"]) == len(timed["switches"])
        return len(timed["wall_us"]), timed["seconds"]

    assert count(5, 60) == (5, 5.0)
    assert count(5, 60, 9) == (9, 9.0)
    assert count(12, 60, 9) == (12, 12.0)
    assert count(12, 7, 9) == (7, 7.0)
    assert count(12, 0.5) == (runner.LEAST_RUNS, 3.0)
