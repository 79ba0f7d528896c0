"""A latency table over adb: built on a phone that is lost meanwhile, gone on with, checked."""

from __future__ import annotations

import importlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.benchmarks.devices import DeviceLostError, open_device
from edgecmp.benchmarks.latency.journal import Journal
from edgecmp.benchmarks.latency.runtime import choose_runtime
from tests.fixtures.small_models import write_model
from tests.testbeds.adbd import AdbDaemon
from tests.testbeds.benchmark_model import program
from tests.testbeds.phone import device_name, only_tools
from tests.testbeds.phone import phone as start_phone

measure = importlib.import_module("edgecmp.benchmarks.latency.measure")


@pytest.mark.slow
def test_a_table_over_adb_goes_on_where_the_phone_was_lost(
    phone: AdbDaemon,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    edgecmp: Callable[..., Any],
) -> None:
    monkeypatch.setattr(measure, "ROUNDS", 1)
    monkeypatch.setattr(measure, "FIRST_BATCH", 400)
    out, name = tmp_path / "table.json", device_name(phone)
    words = ("latency", "build", "--device", name, "--runtime", "tflite-runtime")
    shape = ("--tier", "100M", "--input-size", "32", "--out", out)
    phone.faults.lose = ("--plan", 20)
    result = edgecmp(*words, *shape)
    assert result.code == 2
    lost = f"error: The connection to adb:{phone.serial} was lost while it ran python. Connect it"
    assert lost in result.err
    journal = out.with_name("table.json.runs").read_text().splitlines()
    assert len(journal) == 1 + 20

    phone.restore()
    result = edgecmp(*words, *shape)
    assert result.code == 0, result.err
    assert "already contains 20 visits" in result.err
    assert not out.with_name("table.json.runs").exists()
    table = LatencyTable.load(out)
    assert (table.device, table.runtime) == (name, "tflite-runtime")
    assert table.facts["soc"] == "QTI SM8550"
    assert (table.entries_ms > 0).all()

    result = edgecmp("latency", "check", out, "--nets", "2", "--json", tmp_path / "check.json")
    assert result.code == 0, result.err
    document = json.loads((tmp_path / "check.json").read_text())
    assert len(document["nets"]) == 2
    assert 0 <= document["mape"] < 50


def test_a_phone_without_any_runtime_is_told_of_benchmark_model(
    adb_client: None, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    with start_phone(tmp_path / "phone", path=only_tools(tmp_path / "tools")) as daemon:
        name = f"adb:{daemon.serial}"
        result = edgecmp("latency", "build", "--device", name, "--out", tmp_path / "table.json")
    assert result.code == 2
    assert (
        f"{name} has no TFLite runtime (litert: no Python; tflite-runtime: no Python). "
        in result.err
    )
    assert "?benchmark_model=PATH" in result.err


@pytest.mark.slow
def test_parts_are_timed_by_benchmark_model_too(adb_client: None, tmp_path: Path) -> None:
    """A phone without Python that is lost after one file: the journal keeps it."""
    files = {
        str(channels): measure.Timed(
            path=write_model(tmp_path / f"{channels}.tflite", channels), visit_ms=5.0
        )
        for channels in (8, 64, 512)
    }
    settings = {"runtime": "benchmark_model", "threads": 1}
    tool, path = program(tmp_path / "tool"), only_tools(tmp_path / "tools")
    with start_phone(tmp_path / "phone", path=path) as daemon:
        name = device_name(daemon, benchmark_model=str(tool))
        with open_device(name) as device:
            runtime, version = choose_runtime(device, None)
            assert (runtime, version[:7]) == ("benchmark_model", "sha256 ")
            with Journal.opened(tmp_path / "runs", settings) as journal:
                first, second, *_ = _order(files)
                daemon.faults.lose = (f"{second}.tflite --num_threads", 1)
                with pytest.raises(DeviceLostError, match="was lost while it ran tool"):
                    measure.measure(device, files, journal, **settings, seed=0)
        assert list(journal.visits) == [first]
        daemon.restore()
        with Journal.opened(tmp_path / "runs", settings) as again, open_device(name) as device:
            kept = again.visits[first][0]
            times = measure.measure(device, files, again, **settings, seed=0)
    assert again.visits[first][0] == kept
    assert 0 < times["8"] < times["512"]
    least = [visit["min_us"] for visit in again.visits["512"].values()]
    assert all(value == int(value) for value in least)
    assert times["512"] == (median(least) + 0.5) / 1000


def _order(files: dict[str, Any]) -> list[str]:
    """The order of the first round, as `measure` draws it."""
    names = sorted(files)
    random.Random("0 0").shuffle(names)
    return names
