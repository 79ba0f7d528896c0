"""What goes wrong with a phone, injected one by one behind the real adb client.

Each fault ends with its own sentence; what was measured before it is kept, and the same command
resumes afterwards.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecmp.benchmarks.devices import (
    DeviceLostError,
    DeviceRunError,
    open_device,
)
from edgecmp.benchmarks.devices import adb as adb_module
from edgecmp.errors import UserError
from tests.fixtures.device_faults import goes_on, refused, until_failure
from tests.fixtures.runtimes import OLDEST
from tests.fixtures.small_models import write_model, write_models
from tests.testbeds.adbd import AdbDaemon
from tests.testbeds.benchmark_model import CODE, elf, program
from tests.testbeds.faulty_python import faulty_python
from tests.testbeds.phone import adb, device_name, only_tools
from tests.testbeds.phone import phone as start_phone


def test_lost_in_the_middle_of_a_run(phone: AdbDaemon, tmp_path: Path) -> None:
    models, name = write_models(tmp_path, 4), device_name(phone)
    with open_device(name) as device:
        device.push(models[0])
        phone.faults.lose = ("--plan", 2)
        visits, error = until_failure(device, models, OLDEST)
        assert "offline" in adb("devices")
    assert [visit.model for visit in visits] == [0, 1]
    assert isinstance(error, DeviceLostError)
    assert error.what.startswith(
        f"The connection to adb:{phone.serial} was lost while it ran python"
    )
    assert "INFO" not in error.what
    assert "run the same command again to resume" in error.way_out
    with pytest.raises(UserError, match=r"cannot be reached \(Connection refused\)"):
        open_device(name)
    phone.restore()
    goes_on(name, models, visits, OLDEST)


def test_lost_in_the_middle_of_a_bench(
    phone: AdbDaemon, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    model, report = write_model(tmp_path / "a.tflite"), tmp_path / "bench.json"
    words = ("bench", "--device", device_name(phone), model, "--json", report)
    phone.faults.lose = ("--runs", 0)
    refused(edgecmp(*words), "was lost while it ran python", "run the same command")
    assert not report.exists()
    phone.restore()
    assert edgecmp(*words).code == 0


def test_lost_in_the_middle_of_a_push(
    phone: AdbDaemon, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    big = tmp_path / "big.tflite"
    big.write_bytes(write_model(tmp_path / "a.tflite").read_bytes() + bytes(2_000_000))
    words = ("bench", "--device", device_name(phone), big)
    phone.faults.lose_push = 500_000
    refused(edgecmp(*words), "was lost while it received big.tflite", "run the same command")
    phone.restore()
    assert edgecmp(*words).code == 0


def test_unauthorized(phone: AdbDaemon, tmp_path: Path, edgecmp: Callable[..., Any]) -> None:
    words = ("bench", "--device", device_name(phone), write_model(tmp_path / "a.tflite"))
    phone.faults.unauthorized = True
    refused(
        edgecmp(*words), f"adb:{phone.serial} has not authorised this machine. Unlock its screen"
    )
    phone.restore()
    assert edgecmp(*words).code == 0


@pytest.mark.slow
def test_offline(phone: AdbDaemon, tmp_path: Path, edgecmp: Callable[..., Any]) -> None:
    words = ("bench", "--device", device_name(phone), write_model(tmp_path / "a.tflite"))
    phone.faults.mute = True
    refused(edgecmp(*words), f"adb:{phone.serial} is offline. Reconnect it")
    phone.restore()
    assert edgecmp(*words).code == 0


def test_garbage_in_the_middle(phone: AdbDaemon, tmp_path: Path) -> None:
    models, name = write_models(tmp_path, 2), device_name(phone)
    with open_device(name) as device:
        phone.faults.garbage = True
        with pytest.raises(DeviceLostError, match=r"was lost while it received 0\.tflite"):
            next(iter(device.time_models(models, runtime=OLDEST, visit_ms=[5, 5])))
    phone.restore()
    goes_on(name, models, [], OLDEST)


def test_an_unknown_serial(phone: AdbDaemon, tmp_path: Path, edgecmp: Callable[..., Any]) -> None:
    adb("connect", phone.serial)
    model = write_model(tmp_path / "a.tflite")
    near = phone.serial.replace(":", "-")
    refused(
        edgecmp("bench", "--device", f"adb:{near}", model),
        f"Unknown Android device 'adb:{near}'. Did you mean adb:{phone.serial}?",
    )
    adb("disconnect")
    refused(edgecmp("bench", "--device", "adb:R5CT10", model), "No Android device is attached.")
    refused(
        edgecmp("bench", "--device", "adb:127.0.0.1:1", model),
        "adb:127.0.0.1:1 cannot be reached (Connection refused). Switch on wireless debugging",
    )


def test_no_adb_here(
    adb_client: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edgecmp: Callable[..., Any]
) -> None:
    model = write_model(tmp_path / "a.tflite")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", only_tools(tmp_path / "tools"))
        result = edgecmp("bench", "--device", "adb", model)
    refused(result, "adb is not installed on this machine. Install Android's platform tools")


def test_a_full_disk(phone: AdbDaemon, tmp_path: Path, edgecmp: Callable[..., Any]) -> None:
    big = tmp_path / "big.tflite"
    big.write_bytes(write_model(tmp_path / "a.tflite").read_bytes() + bytes(2_000_000))
    words = ("bench", "--device", device_name(phone), big)
    phone.faults.room = 1_000_000
    refused(edgecmp(*words), "has no room for big.tflite (2.0 MB). Free some space in", "again")
    phone.restore()
    assert edgecmp(*words).code == 0


def test_the_runtime_is_missing(
    adb_client: None, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    model = write_model(tmp_path / "a.tflite")
    with start_phone(tmp_path / "phone", path=only_tools(tmp_path / "tools")) as daemon:
        refused(
            edgecmp("bench", "--device", f"adb:{daemon.serial}", model),
            "has no runtime for these files (litert: no Python; tflite-runtime: no Python)",
            "?benchmark_model=PATH",
        )


def test_truncated_output(phone: AdbDaemon, tmp_path: Path) -> None:
    models, name = write_models(tmp_path, 3), device_name(phone)
    with open_device(name) as device:
        phone.faults.cut = ("--plan", 1)
        visits, error = until_failure(device, models, OLDEST)
        assert str(error).startswith(f"The answer of {device.name} was cut off while it ran python")
        assert [visit.model for visit in visits] == [0]
        phone.restore()
        assert device.run(["echo", "there"]).strip() == "there"
    goes_on(name, models, visits, OLDEST)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (elf(40, CODE["x86_64"][1]), "was built for armeabi-v7a, but adb:127.0.0.1:"),
        (elf(9999, b""), "was built for ELF machine 9999, but"),
        (b"<html><body>404</body></html>", "is not an Android program: it has no ELF header"),
    ],
)
def test_a_program_for_another_processor(
    content: bytes, says: str, phone: AdbDaemon, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    tool = tmp_path / "benchmark_model"
    tool.write_bytes(content)
    name = device_name(phone, benchmark_model=str(tool))
    refused(edgecmp("bench", "--device", name, write_model(tmp_path / "a.tflite")), says)
    assert not any(tool.name in str(path) for path in phone.folder.rglob("*"))


def test_a_place_for_the_files(phone: AdbDaemon, tmp_path: Path) -> None:
    place = tmp_path / "a place"
    place.mkdir()
    with open_device(device_name(phone, python=sys.executable, folder=str(place))) as device:
        remote = device.push(write_model(tmp_path / "a.tflite"))
        assert Path(remote).is_relative_to(place)
        assert device.facts["runtimes"]
    assert list(place.iterdir()) == []
    with pytest.raises(
        UserError, match=r"cannot create a folder for the files \(.*mkdir"
    ) as caught:
        open_device(device_name(phone, folder="/no/place"))
    assert "?folder=/data/local/tmp" in caught.value.way_out


def test_the_home_folder_of_the_phone(phone: AdbDaemon, tmp_path: Path) -> None:
    phone.environment |= {"HOME": str(tmp_path)}
    (tmp_path / "py thon").symlink_to(sys.executable)
    with open_device(device_name(phone, python="~/py thon", folder="~")) as device:
        assert device.python == f"{tmp_path}/py thon"
        assert Path(device.push(write_model(tmp_path / "a.tflite"))).parent.parent == tmp_path
        assert device.facts["runtimes"] != {}


@pytest.mark.parametrize("by", ["python", "benchmark_model"])
def test_a_model_that_the_runtime_refuses(
    by: str, phone: AdbDaemon, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    models = write_models(tmp_path, 3)
    whole = models[1].read_bytes()
    models[1].write_bytes(whole[:500])
    value = {"python": sys.executable, "benchmark_model": str(program(tmp_path / "tool"))}[by]
    name = device_name(phone, **{by: value})
    runtime = OLDEST if by == "python" else by
    with open_device(name) as device:
        visits = device.time_models(models, runtime=runtime, visit_ms=[5] * len(models))
        assert next(visits).model == 0
        with pytest.raises(DeviceRunError, match=r"exit code 1|it is truncated or damaged"):
            next(visits)
    why = {
        "tflite-runtime": "it is truncated or damaged (No subgraph in the model)",
        "litert": "it is truncated or damaged (The model is not a valid Flatbuffer buffer)",
        "benchmark_model": "it is truncated or damaged",
    }[runtime]
    refused(edgecmp("bench", "--device", name, models[1]), "1.tflite cannot be timed: ", why)
    models[1].write_bytes(whole)
    assert edgecmp("bench", "--device", name, models[1]).code == 0


def test_a_delegate_that_does_nothing(
    phone: AdbDaemon, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    tool = program(tmp_path / "tool", fault="delegate")
    name = device_name(phone, benchmark_model=str(tool), python="/no/python")
    result = edgecmp("bench", "--device", name, write_model(tmp_path / "a.tflite"))
    refused(result, "The delegate of this benchmark_model cannot execute the model, so")


def test_killed_by_the_system(
    phone: AdbDaemon, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    models = write_models(tmp_path, 4)
    python = faulty_python(tmp_path / "python3", "killed")
    with open_device(device_name(phone, python=str(python))) as device:
        visits, error = until_failure(device, models, OLDEST)
    assert len(visits) == 2
    assert str(error).startswith(
        f"adb:{phone.serial} killed python3, probably for lack of memory. Close other"
    )
    goes_on(device_name(phone), models, visits, OLDEST)
    tool = program(tmp_path / "tool", fault="killed")
    name = device_name(phone, benchmark_model=str(tool))
    refused(edgecmp("bench", "--device", name, models[0]), " killed tool, probably for lack of")


@pytest.mark.slow
def test_a_shell_that_hangs(
    phone: AdbDaemon,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    edgecmp: Callable[..., Any],
) -> None:
    name = device_name(phone)
    with open_device(name) as device:
        phone.faults.hang = "echo slow"
        with pytest.raises(DeviceRunError, match="it took longer than 1 s"):
            device.run(["echo", "slow"], timeout_s=1.0)
        assert device.run(["echo", "next"]).strip() == "next"
    monkeypatch.setattr(adb_module, "ANSWER_S", 1.0)
    phone.faults.hang = "mkdir"
    words = ("bench", "--device", name, write_model(tmp_path / "a.tflite"))
    refused(edgecmp(*words), "does not answer. Check it with `adb -s")
    phone.restore()
    assert edgecmp(*words).code == 0


def test_the_adb_server_is_ended_meanwhile(phone: AdbDaemon, tmp_path: Path) -> None:
    models = write_models(tmp_path, 4)
    python = faulty_python(tmp_path / "python3", "server")
    phone.environment |= {
        key: text for key, text in os.environ.items() if key.startswith("ANDROID_ADB")
    }
    with open_device(device_name(phone, python=str(python))) as device:
        visits, error = until_failure(device, models, OLDEST)
    assert len(visits) == 2
    assert isinstance(error, DeviceLostError)
    assert "was lost while it ran python3" in error.what
    goes_on(device_name(phone), models, visits, OLDEST)


def test_an_old_device_that_always_exits_with_0(adb_client: None, tmp_path: Path) -> None:
    models = write_models(tmp_path, 2)
    models[1].write_bytes(models[1].read_bytes()[:500])
    with start_phone(tmp_path / "phone", shell_v2=False) as daemon:
        with open_device(device_name(daemon)) as device:
            with pytest.raises(DeviceRunError, match=r"no such place.* \(exit code 2\)"):
                device.run(["sh", "-c", "echo no such place >&2; exit 2"])
            visits, error = until_failure(device, models, OLDEST)
        assert [visit.model for visit in visits] == [0]
        assert "it is truncated or damaged" in str(error)
