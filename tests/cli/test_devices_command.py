"""`edgecmp devices`: this machine, what adb has attached, and devices by name, reached or not."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.runtimes import TFLITE_RUNTIMES
from tests.testbeds.adbd import AdbDaemon
from tests.testbeds.phone import adb, device_name, only_tools
from tests.testbeds.phone import phone as start_phone


def rows(path: Path) -> dict[str, dict[str, Any]]:
    return {row["device"]: row for row in json.loads(path.read_text())["rows"]}


def test_this_machine_and_what_is_attached(
    phone: AdbDaemon, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    adb("connect", phone.serial)
    result = edgecmp("devices", "--json", tmp_path / "devices.json")
    assert result.code == 0
    found = rows(tmp_path / "devices.json")
    assert list(found) == ["local", f"adb:{phone.serial}"]
    assert found["local"]["verdict"] == "ready"
    assert TFLITE_RUNTIMES[-1] in found["local"]["runtimes"]
    row = found[f"adb:{phone.serial}"]
    assert (row["model"], row["soc"]) == ("Testbed Phone 1", "QTI SM8550")
    assert row["system"].startswith("Android 14, Linux ")
    assert row["facts"]["machine"] == found["local"]["facts"]["machine"]
    for text in ("local", f"adb:{phone.serial}", "Testbed Phone 1", "QTI SM8550", "ready"):
        assert text in result.out


def test_a_phone_without_python_is_ready_all_the_same(
    adb_client: None, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    with start_phone(tmp_path / "phone", path=only_tools(tmp_path / "tools")) as daemon:
        name = f"adb:{daemon.serial}"
        assert edgecmp("devices", name, "--json", tmp_path / "devices.json").code == 0
    row = rows(tmp_path / "devices.json")[name]
    assert (row["verdict"], row["runtimes"], row["model"]) == ("ready", "none", "Testbed Phone 1")
    assert row["facts"]["runtimes"]["litert"] == {"reason": "no Python"}


def test_what_is_not_reached_has_its_reason(
    phone: AdbDaemon, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    adb("connect", phone.serial)
    phone.faults.unauthorized = True
    adb("disconnect")
    adb("connect", phone.serial)
    result = edgecmp("devices")
    assert result.code == 0
    assert f"\nadb:{phone.serial} has not authorised this machine. Unlock" in result.out
    named = ("adb:127.0.0.1:1", "ssh://127.0.0.1:1", "sssh://x")
    result = edgecmp("devices", *named, "--json", tmp_path / "devices.json")
    assert result.code == 1
    found = rows(tmp_path / "devices.json")
    assert {found[name]["verdict"] for name in named} == {"not reached"}
    assert "(Connection refused)" in found["adb:127.0.0.1:1"]["reason"]
    assert "sssh://x: Unknown device 'sssh://x'" in result.out
    assert "cannot be reached" in found["ssh://127.0.0.1:1"]["reason"]
    assert "Unknown device 'sssh://x'" in found["sssh://x"]["reason"]
    assert found["local"]["verdict"] == "ready"


def test_a_named_device_is_listed_once(
    phone: AdbDaemon, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    adb("connect", phone.serial)
    name = device_name(phone, python=sys.executable, cpus="0")
    result = edgecmp("devices", name, name, "local", "--json", tmp_path / "devices.json")
    assert result.code == 0
    assert list(rows(tmp_path / "devices.json")) == [name, "local"]
    assert rows(tmp_path / "devices.json")[name]["cores"] == 1
    edgecmp("devices", "adb", "--json", tmp_path / "devices.json")
    assert list(rows(tmp_path / "devices.json")) == ["local", "adb"]


def test_without_adb_the_rest_is_listed(
    adb_client: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edgecmp: Callable[..., Any]
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", only_tools(tmp_path / "tools"))
        result = edgecmp("devices")
    assert result.code == 0
    assert "local" in result.out
    assert (
        "Android devices were not searched for: adb is not installed on this machine." in result.out
    )
