"""A latency table over adb: built on a phone that is lost meanwhile, gone on with, checked."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecmp.latency import LatencyTable
from tests.testbeds.adbd import AdbDaemon
from tests.testbeds.phone import device_name

measure = importlib.import_module("edgecmp.benchmarks.latency.measure")


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
    assert f"error: adb:{phone.serial} was lost while it ran python. Connect it" in result.err
    journal = out.with_name("table.json.runs").read_text().splitlines()
    assert len(journal) == 1 + 20

    phone.restore()
    result = edgecmp(*words, *shape)
    assert result.code == 0, result.err
    assert "20 visits are in" in result.err
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
