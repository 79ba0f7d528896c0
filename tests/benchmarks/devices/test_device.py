"""The local device and the runner that it runs, as processes of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch

from edgecmp.benchmarks.devices import Device, DeviceRunError, LocalDevice, open_device
from edgecmp.benchmarks.devices.device import END_MARK
from edgecmp.benchmarks.devices.on_device.runner import arm_cores
from edgecmp.errors import UserError
from edgecmp.export.formats.tflite.writer import tflite_bytes
from edgecmp.export.lowering import Graph, LoweredNet
from edgecmp.export.lowering.graph import IMAGE, Conv


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


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ("0xd0b", "Cortex-A76"),
        ("0xd05 0xd05 0xd0b", "2 Cortex-A55 + 1 Cortex-A76"),
        ("0xfff 0xfff", "implementer 0x41 part 0xfff"),
    ],
)
def test_arm_cores_are_named(parts: str, name: str) -> None:
    text = "".join(f"CPU implementer\t: 0x41\nCPU part\t: {part}\n\n" for part in parts.split())
    assert arm_cores(text) == name


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(UserError, match=r"Unknown device 'locale'.*Did you mean local\?"):
        open_device("locale")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("local?python=x", r"The device local has no options \(got \?python\)"),
        ("ssh:host", r"Unknown device 'ssh:host'.*ssh://user@host"),
        ("ssh://", "The device ssh:// has no address"),
        ("ssh://host?pithon=x", "Did you mean python"),
    ],
)
def test_a_wrong_name_says_what_is_wrong_with_it(name: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        open_device(name)


def test_many_models_are_visited_in_one_process(tmp_path: Path) -> None:
    models = [tmp_path / name for name in ("small.tflite", "large.tflite")]
    for model, channels in zip(models, (8, 64), strict=True):
        model.write_bytes(tflite_bytes(one_convolution(channels)))
    visits = list(LocalDevice().time_models(models, runtime="litert", visit_ms=[5, 5]))
    assert [visit.model for visit in visits] == [0, 1]
    for visit in visits:
        assert 3 <= len(visit.wall_us) == len(visit.cpu_us) == len(visit.switches) <= 100
        assert min(visit.wall_us) > 0
    assert min(visits[1].wall_us) > min(visits[0].wall_us)


def test_what_was_measured_before_a_failure_is_given(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.tflite", tmp_path / "bad.tflite"
    good.write_bytes(tflite_bytes(one_convolution(8)))
    bad.write_bytes(good.read_bytes()[:100])
    visits = LocalDevice().time_models([good, bad, good], runtime="litert", visit_ms=[5] * 3)
    assert next(visits).model == 0
    with pytest.raises(DeviceRunError, match="exit code"):
        next(visits)


def one_convolution(channels: int) -> LoweredNet:
    weight = torch.randn(channels, 3, 3, 3)
    conv = Conv(name="conv", inputs=(IMAGE,), weight=weight, bias=torch.zeros(channels))
    return LoweredNet(Graph(nodes=(conv,), input_shape=(3, 32, 32)))
