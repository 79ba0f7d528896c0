"""The whole way: real adb client, our daemon in an emulated arm64 Linux, the real arm64 runtime."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from edgecmp.benchmarks.devices import open_device
from tests.fixtures.small_models import write_model, write_models
from tests.testbeds import adbd, benchmark_model
from tests.testbeds.benchmark_model import launcher
from tests.testbeds.board import Board
from tests.testbeds.phone import adb

pytestmark = pytest.mark.board

PROPERTIES = (
    "ro.product.model=Board",
    "ro.product.cpu.abi=arm64-v8a",
    "ro.product.cpu.abilist=arm64-v8a",
    "ro.build.version.release=14",
)
SCRIPT = '#!/bin/sh\nexec python3 /tmp/phone/benchmark_model.py "$@"\n'


@pytest.fixture(scope="module")
def daemon(board: Board) -> str:
    """The name of the board in adb, once our daemon listens on it."""
    board.start_python(Path(adbd.__file__), *PROPERTIES)
    for _ in range(100):
        if "listening" in board.ssh("cat /tmp/adbd.py.log"):
            return f"127.0.0.1:{board.adb_port}"
        time.sleep(0.1)
    raise RuntimeError(board.ssh("cat /tmp/adbd.py.log"))


@pytest.fixture
def serial(daemon: str, adb_client: None) -> str:
    """The same, for a client that knows it."""
    assert "connected to" in adb("connect", daemon)
    return daemon


def test_bench_on_an_arm64_system(serial: str, tmp_path: Path, edgecmp: Callable[..., Any]) -> None:
    model, report = write_model(tmp_path / "small.tflite"), tmp_path / "bench.json"
    result = edgecmp("bench", "--device", f"adb:{serial}", model, "--json", report)
    assert result.code == 0, result.err
    document = json.loads(report.read_text())
    assert document["device"]["machine"] == "aarch64"
    assert (document["device"]["model"], document["device"]["abi"]) == ("Board", "arm64-v8a")
    rows = {row["runtime"]: row for row in document["rows"]}
    assert (rows["litert"]["verdict"], rows["tflite-runtime"]["verdict"]) == ("not run", "measured")
    assert rows["tflite-runtime"]["version"] == "2.14.0"
    assert 50 < rows["tflite-runtime"]["p50_ms"] * 1000 < 500  # its clock counts instructions


def test_visits_on_an_arm64_system_repeat(serial: str, tmp_path: Path) -> None:
    models = write_models(tmp_path, 3)
    with open_device(f"adb:{serial}") as device:
        rounds = [
            list(device.time_models(models, runtime="tflite-runtime", visit_ms=[5] * len(models)))
            for _ in range(2)
        ]
    least = [[min(visit.wall_us) for visit in visits] for visits in rounds]
    assert least[0] == sorted(least[0])
    assert least[0] == pytest.approx(least[1], rel=0.01)


def test_benchmark_model_on_an_arm64_system(
    serial: str, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    """An arm64 executable is sent, checked against the board's ABI and run there."""
    script = tmp_path / "run.sh"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    for path in (script, Path(benchmark_model.__file__)):
        adb("-s", serial, "push", str(path), f"/tmp/phone/{path.name}")
    place = PurePosixPath("/tmp/phone/run.sh")
    tool = launcher(tmp_path / "benchmark_model", place, "aarch64")
    model = write_model(tmp_path / "small.tflite")
    with open_device(f"adb:{serial}?benchmark_model={tool}") as device:
        document = device.time_model(model, runtime="benchmark_model", runs=10)
    assert document["summary"]["runs"] == 10
    assert 50 < document["summary"]["p50_us"] < 500
    assert document["peak_memory_kb"] > 1000
    wrong = launcher(tmp_path / "wrong_model", place, "x86_64")
    result = edgecmp("bench", "--device", f"adb:{serial}?benchmark_model={wrong}", model)
    assert result.code == 2
    assert "wrong_model was built for x86_64, but adb:127.0.0.1:" in result.err
    assert "runs arm64-v8a. Name a benchmark_model built for arm64-v8a." in result.err
