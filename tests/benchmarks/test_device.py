"""The local device and the runner that it runs, as processes of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from edgecmp.benchmarks.device import END_MARK, Device, DeviceRunError, LocalDevice, open_device
from edgecmp.errors import UserError


def test_the_local_device_says_what_it_is() -> None:
    with open_device("local") as device:
        facts = device.facts
    assert facts["cores"] == len(os.sched_getaffinity(0))
    assert facts["machine"] == os.uname().machine
    assert set(facts["runtimes"]) == {"litert", "tflite-runtime", "onnxruntime"}
    assert all("version" in found or "reason" in found for found in facts["runtimes"].values())
    assert json.loads(json.dumps(facts)) == facts


def test_a_command_gets_its_environment_and_gives_its_output() -> None:
    device = LocalDevice()
    code = "import os; print(os.environ['EDGECMP_TEST'])"
    output = device.run([device.python, "-c", code], environment={"EDGECMP_TEST": "42"})
    assert output.strip() == "42"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise ValueError('no such op')", r"ValueError: no such op \(exit code 1\)"),
        ("import sys; sys.exit(3)", r"no message \(exit code 3\)"),
        ("import time; time.sleep(30)", "took longer than 1 s"),
    ],
)
def test_a_failing_command_says_why(code: str, says: str) -> None:
    device = LocalDevice()
    with pytest.raises(DeviceRunError, match=says):
        device.run([device.python, "-c", code], timeout_s=1.0 if "sleep" in code else 60.0)


def test_a_missing_program_says_so() -> None:
    with pytest.raises(DeviceRunError, match="No such file"):
        LocalDevice().run(["no-such-program"])


def test_files_stay_and_come_back(tmp_path: Path) -> None:
    source, copy = tmp_path / "a.bin", tmp_path / "b.bin"
    source.write_bytes(b"weights")
    device = LocalDevice()
    device.pull(device.push(source), copy)
    device.pull(device.push(source), source)
    device.close()
    assert copy.read_bytes() == source.read_bytes() == b"weights"
    with pytest.raises(DeviceRunError, match="No such file"):
        device.pull(str(tmp_path / "c.bin"), copy)


class Cut(LocalDevice):
    """A device whose connection ends in the middle of the answer."""

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 600.0,
    ) -> str:
        output = super().run(command, environment=environment, timeout_s=timeout_s)
        return output[: output.index(END_MARK) // 2]


def test_cut_output_is_not_taken_for_a_result() -> None:
    device: Device = Cut()
    with pytest.raises(DeviceRunError, match="was cut off"):
        device.run_runner()


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(UserError, match=r"Unknown device 'locale'.*Did you mean local\?"):
        open_device("locale")
