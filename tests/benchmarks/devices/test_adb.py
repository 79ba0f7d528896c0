"""Android devices through the real adb client, against our daemon on this machine."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecmp.benchmarks.devices import LocalDevice, open_device
from edgecmp.benchmarks.devices.adb import AdbDevice
from edgecmp.benchmarks.devices.adb_client import Attached, attached_devices
from edgecmp.errors import UserError
from tests.fixtures.runtimes import OLDEST, TFLITE_RUNTIMES, available
from tests.fixtures.small_models import write_model, write_models
from tests.testbeds.adbd import AdbDaemon
from tests.testbeds.benchmark_model import program
from tests.testbeds.phone import ABI, adb, device_name, only_tools
from tests.testbeds.phone import phone as start_phone


def test_a_phone_says_what_it_is(phone: AdbDaemon) -> None:
    with open_device(device_name(phone)) as device:
        facts = device.facts
    here = LocalDevice().facts
    assert facts["model"] == "Testbed Phone 1"
    assert facts["soc"] == "QTI SM8550"
    assert (facts["abi"], facts["abis"]) == (ABI, [ABI])
    assert facts["system"] == f"Android 14, Linux {os.uname().release}"
    assert (facts["machine"], facts["cores"]) == (here["machine"], here["cores"])
    assert facts["runtimes"] == here["runtimes"]
    assert facts["cpus"] is None
    assert json.loads(json.dumps(facts)) == facts


def test_files_go_there_once_come_back_and_are_removed(phone: AdbDaemon, tmp_path: Path) -> None:
    source, copy = tmp_path / "a b.bin", tmp_path / "c.bin"
    source.write_bytes(os.urandom(300_000))
    with open_device(device_name(phone)) as device:
        remote = device.push(source)
        assert device.push(source) == remote
        assert Path(remote).parent.parent == phone.folder
        device.pull(remote, copy)
        assert copy.read_bytes() == source.read_bytes()
        assert Path(remote).exists()
    assert not Path(remote).parent.exists()


def test_the_client_lists_a_folder(phone: AdbDaemon, adb_client: None) -> None:
    (phone.folder / "seen.txt").write_text("12345")
    adb("connect", phone.serial)
    assert "00000005" in next(
        line
        for line in adb("-s", phone.serial, "ls", str(phone.folder)).splitlines()
        if line.endswith(" seen.txt")
    )


@pytest.mark.parametrize("shell_v2", [True, False])
def test_bench_over_adb(
    shell_v2: bool, adb_client: None, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    model, report = write_model(tmp_path / "small.tflite"), tmp_path / "bench.json"
    with start_phone(tmp_path / "phone", shell_v2=shell_v2) as daemon:
        result = edgecmp("bench", "--device", device_name(daemon), model, "--json", report)
    assert result.code == 0, result.err
    document = json.loads(report.read_text())
    measured = available(document["rows"])
    assert {row["runtime"] for row in measured} == set(TFLITE_RUNTIMES)
    for row in measured:
        assert row["verdict"] == "measured"
        assert 0 < row["min_ms"] <= row["p50_ms"] <= row["p90_ms"]
        assert row["statistic"] in ("not preempted", "all runs")
    assert document["device"]["model"] == "Testbed Phone 1"
    assert "small.tflite" in result.out


def test_many_models_are_visited_over_adb(phone: AdbDaemon, tmp_path: Path) -> None:
    models = write_models(tmp_path, 3)
    with open_device(device_name(phone)) as device:
        visits = list(device.time_models(models, runtime=OLDEST, visit_ms=[5] * len(models)))
    assert [visit.model for visit in visits] == [0, 1, 2]
    assert all(min(visit.wall_us) > 0 and visit.summary is None for visit in visits)


def test_a_phone_computes_what_this_machine_computes(phone: AdbDaemon, tmp_path: Path) -> None:
    model = write_model(tmp_path / "small.tflite")
    images = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype(np.float32)
    with open_device(device_name(phone)) as device:
        there = device.compute(model, images, runtime=OLDEST)
    here = LocalDevice().compute(model, images, runtime=OLDEST)
    assert there.shape[0] == 2
    assert np.array_equal(there, here)


@pytest.mark.slow(quick=["middle"])
@pytest.mark.parametrize("form", ["new", "middle", "old"])
def test_bench_by_benchmark_model(
    form: str, adb_client: None, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    """A phone without Python, and a stand-in for the program that prints as it did in that time."""
    model, report = write_model(tmp_path / "small.tflite"), tmp_path / "bench.json"
    tool, path = program(tmp_path / "benchmark_model", form=form), only_tools(tmp_path / "tools")
    with start_phone(tmp_path / "phone", path=path) as daemon:
        name = device_name(daemon, benchmark_model=str(tool))
        result = edgecmp("bench", "--device", name, model, "--json", report)
    assert result.code == 0, result.err
    document = json.loads(report.read_text())
    rows = {row["runtime"]: row for row in document["rows"]}
    assert rows["litert"]["verdict"] == rows["tflite-runtime"]["verdict"] == "not run"
    assert rows["litert"]["reason"] == "no Python"
    row = rows["benchmark_model"]
    assert row["verdict"] == "measured"
    assert row["version"].startswith("sha256 ")
    assert row["runs"] == 200  # the default of the bench
    assert 0 < row["min_ms"] <= row["p50_ms"]
    assert row["p90_ms"] is row["preempted"] is row["memory_before_mb"] is None
    assert row["first_ms"] > 0
    assert (row["peak_memory_mb"] is None) == (form != "new")
    mean = "" if form == "new" else " (mean)"
    assert row["statistic"] == f"the device's summary{mean}"


def test_visits_by_benchmark_model_are_summaries(phone: AdbDaemon, tmp_path: Path) -> None:
    models = write_models(tmp_path, 2)
    tool = program(tmp_path / "benchmark_model")
    with open_device(device_name(phone, benchmark_model=str(tool))) as device:
        visits = list(
            device.time_models(models, runtime="benchmark_model", visit_ms=[5] * len(models))
        )
    assert [visit.model for visit in visits] == [0, 1]
    for visit in visits:
        assert visit.wall_us == visit.cpu_us == visit.switches == ()
        assert visit.summary is not None
        assert visit.summary.runs >= 3
        assert 0 < visit.summary.min_us <= visit.summary.mean_us


def test_only_some_processors_are_used(phone: AdbDaemon, tmp_path: Path) -> None:
    first = min(os.sched_getaffinity(0))
    with open_device(device_name(phone, python=sys.executable, cpus=str(first))) as device:
        assert device.facts["cores"] == 1
        assert device.facts["cpus"] == str(first)
        allowed = "import os; print(os.sched_getaffinity(0))"
        assert device.run([sys.executable, "-c", allowed]).strip() == f"{{{first}}}"
    tool = program(tmp_path / "benchmark_model")
    name = device_name(phone, benchmark_model=str(tool), cpus=str(first))
    with open_device(name) as device:
        device.time_model(write_model(tmp_path / "a.tflite"), runtime="benchmark_model", runs=3)
    assert all("taskset" in command for command in phone.commands[-3:])


@pytest.mark.parametrize(
    ("cpus", "says"),
    [
        ("four", r"must list processor numbers \(got 'four'\). Write \?cpus=4-7"),
        ("7-4", "must list processor numbers"),
        ("999", r"cannot run commands on processors 999 \(.*taskset.*\)\. Use processors"),
    ],
)
def test_processors_that_are_not_there(cpus: str, says: str, phone: AdbDaemon) -> None:
    with pytest.raises(UserError, match=says):
        open_device(device_name(phone, cpus=cpus))


def test_adb_alone_is_the_only_device(phone: AdbDaemon, tmp_path: Path) -> None:
    adb("connect", phone.serial)
    with open_device("adb") as device:
        assert isinstance(device, AdbDevice)
        assert (device.name, device.serial) == (f"adb:{phone.serial}", phone.serial)
    with start_phone(tmp_path / "second") as second:
        adb("connect", second.serial)
        assert {device.model for device in attached_devices()} == {"Test Phone"}
        with pytest.raises(UserError) as caught:
            open_device("adb")
    assert caught.value.what == "2 Android devices are attached."
    assert f"adb:{phone.serial}" in caught.value.way_out
    assert f"adb:{second.serial}" in caught.value.way_out


LISTED = """\
adb server version (41) doesn't match this client (39); killing...
* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
R58N12ABCDE            device usb:1-1 product:a model:Pixel_8 device:b transport_id:1
0A1B2C3D               no permissions (user in plugdev group; are your udev rules wrong?); see \
[http://developer.android.com/tools/device.html] usb:1-2 transport_id:2
HT7A1                  authorizing usb:1-3 transport_id:3
emulator-5554          recovery product:a model:b device:c transport_id:4
adb-R5CT (2)._adb-tls-connect._tcp device product:d model:SM_S911B device:e transport_id:5
adb-R5CU (3)._adb-tls-connect._tcp offline transport_id:6
a b c	unauthorized

"""


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("adb:0A1B2C3D", "adb:0A1B2C3D cannot be used without permission. Install the udev rules"),
        ("adb:HT7A1", "adb:HT7A1 has not authorised this machine. Unlock its screen"),
        ("adb:emulator-5554", r"is not running Android \(adb shows it as 'recovery'\)\. Start"),
        ("adb", "7 Android devices are attached. Name one of them: adb:R58N12ABCDE, adb:0A1B2C3D"),
        (r"adb:adb-R5CU (3)._adb-tls-connect._tcp", r"_tcp is offline\. Reconnect it"),
        ("adb:a b c", r"adb:a b c has not authorised this machine\. Unlock its screen"),
        ("adb:adb-R5CT (2)._adb-tls-connect._tcp", r"Check it with `adb -s 'adb-R5CT \(2\)\._adb"),
        ("adb:adb", r"Unknown Android device 'adb:adb'"),
    ],
)
def test_states_that_need_real_usb_are_read_from_what_adb_prints(
    name: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "adb"
    fake.write_text(f"#!/bin/sh\ncat <<'END'\n{LISTED}END\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = attached_devices()
    assert found[0] == Attached(serial="R58N12ABCDE", state="device", model="Pixel 8")
    assert found[4] == Attached(
        serial="adb-R5CT (2)._adb-tls-connect._tcp", state="device", model="SM S911B"
    )
    assert len(found) == 7
    with pytest.raises(UserError, match=says):
        open_device(name)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            "failed to connect to '10.0.0.7:5555': Connection refused",
            r"cannot be reached \(Connection refused\)\. Switch on wireless debugging",
        ),
        ("failed to connect to 10.0.0.7:5555", r"10\.0\.0\.7:5555 is offline\. Reconnect it"),
    ],
)
def test_why_a_device_that_adb_tries_again_cannot_be_reached(
    answer: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "adb"
    listed = "List of devices attached\\n10.0.0.7:5555\\toffline\\n"
    fake.write_text(f"""#!/bin/sh
case "$1" in
  connect) echo "{answer}";;
  devices) printf '{listed}';;
esac
""")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(UserError, match=says):
        open_device("adb:10.0.0.7:5555")


def test_an_adb_that_does_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "adb"
    fake.write_text("#!/bin/sh\necho 'adb: cannot connect to daemon' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(UserError, match=r"adb does not answer \(adb: cannot connect"):
        open_device("adb")
