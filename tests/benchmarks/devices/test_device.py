"""The local device and the runner that it runs, as processes of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.benchmarks import BenchPlan, bench
from edgecmp.benchmarks.devices import (
    Device,
    DeviceKilledError,
    DeviceRunError,
    DeviceSpec,
    LocalDevice,
    open_device,
)
from edgecmp.benchmarks.devices.device import END_MARK
from edgecmp.benchmarks.devices.on_device.runner import arm_cores
from edgecmp.benchmarks.devices.shell import remote_path
from edgecmp.benchmarks.devices.ssh_address import SshAddress
from edgecmp.errors import UserError
from edgecmp.export.formats.tflite.writer import tflite_bytes
from edgecmp.export.lowering import Graph, LoweredNet
from edgecmp.export.lowering.graph import IMAGE, Conv
from tests.fixtures.runtimes import available


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
        ("ssh://host?python=", r"The option \?python of ssh://host has no value"),
        ("ssh://host?python", r"The option \?python of ssh://host has no value"),
        ("ssh://host?python=a&python=b", r"The option \?python of ssh://host is given twice"),
        ("adb:a\0b", "contains a control character"),
        ("ssh://a\nb", "contains a control character"),
        ("ssh://host:0", r"The port of ssh must be from 1 to 65535 \(got '0'\)"),
        ("ssh://host:99999", r"The port of ssh must be from 1 to 65535 \(got '99999'\)"),
        ("ssh://host:abc", r"The port of ssh must be from 1 to 65535 \(got 'abc'\)"),
        ("ssh://host:", r"The port of ssh must be from 1 to 65535 \(got ''\)"),
        ("ssh://root@[::1]:0", r"The port of ssh must be from 1 to 65535 \(got '0'\)"),
        ("ssh://root@[::g]", "'::g' is not an IPv6 address"),
        ("ssh://root@::1", r"has no brackets\. Write ssh://user@\[::1\]"),
        (
            "ssh://-oProxyCommand=x",
            r"The host name '-oProxyCommand=x' in ssh://-oProxyCommand=x is",
        ),
        ("ssh://-oProxyCommand=x@host", r"The user name '-oProxyCommand=x' in .* is impossible"),
        ("ssh://%2DoProxyCommand=x@host", r"The user name '-oProxyCommand=x' in .* is impossible"),
        ("ssh://host/folder", r"The host name 'host/folder' in ssh://host/folder is impossible"),
        ("ssh://@host", "The address ssh://@host has no user name"),
        ("ssh://root@", "The address ssh://root@ has no host name"),
        ("ssh://root:secret@host", r"The address ssh://\.\.\.@host contains a password"),
    ],
)
def test_a_wrong_name_says_what_is_wrong_with_it(name: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        open_device(name)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("host", ["host"]),
        ("pi@board:2222", ["-p", "2222", "pi@board"]),
        ("root@[::1]:22022", ["-p", "22022", "root@::1"]),
        ("[fe80::1%25eth0]", ["fe80::1%eth0"]),
        ("a%40b@host", None),
    ],
)
def test_an_address_becomes_arguments_of_ssh(address: str, words: list[str] | None) -> None:
    if words is not None:
        assert SshAddress.parse(address).words == words
        return
    with pytest.raises(UserError, match="The user name 'a@b' in"):
        SshAddress.parse(address)


@given(st.text(alphabet="ab:@[]%-/.0129 ", max_size=20))
def test_no_address_becomes_an_option_of_ssh(address: str) -> None:
    try:
        words = SshAddress.parse(address).words
    except UserError:
        return
    assert not words[-1].startswith("-")
    assert words[:-1] in ([], ["-p", words[1] if len(words) > 1 else ""])


def test_a_plus_in_an_option_is_a_plus() -> None:
    spec = DeviceSpec.parse("ssh://host?python=/opt/c++/python", {"ssh": ["python"]})
    assert spec.options == {"python": "/opt/c++/python"}


@pytest.mark.parametrize(
    "text", ["/a b/c", "it's", "$HOME/x", "~/a b", "~", "~root/a;b", "~/", "a~/b", "~a b/c"]
)
def test_a_path_there_is_one_word_and_its_tilde_is_expanded(text: str) -> None:
    command = ["sh", "-c", f"printf '%s|' {remote_path(text)}"]
    told = LocalDevice().run(command, environment={"HOME": "/home/me"})
    expanded = {"~/a b": "/home/me/a b", "~": "/home/me", "~root/a;b": "/root/a;b"}
    assert told == {**expanded, "~/": "/home/me"}.get(text, text) + "|"


class Crashing(LocalDevice):
    """A device whose Python is ended by a signal while it has a model."""

    def __init__(self, folder: Path, number: int) -> None:
        script = folder / "python"
        script.write_text(f'#!/bin/sh\necho "{{}}"\nkill -{number} $$\n')
        script.chmod(0o755)
        self.python = str(script)


def test_a_crash_of_the_runtime_is_named(tmp_path: Path) -> None:
    model = tmp_path / "a.tflite"
    model.write_bytes(b"")
    with pytest.raises(
        DeviceRunError, match=r"^the runtime crashed by signal 11 \(SIGSEGV\) while it loaded or"
    ):
        Crashing(tmp_path, 11).time_model(model, runtime="litert")
    with pytest.raises(DeviceKilledError, match="This machine killed python, probably for lack of"):
        Crashing(tmp_path, 9).time_model(model, runtime="litert")


def test_a_crash_does_not_end_a_bench_of_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / name for name in ("good.tflite", "crashes.tflite", "large.tflite")]
    for file in files:
        file.write_bytes(tflite_bytes(one_convolution(8)))
    folders = [tmp_path / "11", tmp_path / "9"]
    for folder in folders:
        folder.mkdir()
    segfault, memory = Crashing(folders[0], 11), Crashing(folders[1], 9)

    def time_model(self: LocalDevice, model: Path, **options: object) -> dict[str, object]:
        chosen = {"crashes.tflite": segfault, "large.tflite": memory}.get(model.name, self)
        return Device.time_model(chosen, model, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalDevice, "time_model", time_model)
    rows = available(bench(files, plan=BenchPlan(runs=2, rounds=1)).rows)
    reasons = {Path(row["file"]).name: (row["verdict"], row["reason"]) for row in rows}
    assert reasons["good.tflite"] == ("measured", "")
    assert reasons["crashes.tflite"][1].startswith("the runtime crashed by signal 11 (SIGSEGV)")
    assert reasons["large.tflite"][1] == "This machine killed python, probably for lack of memory"


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
    with pytest.raises(DeviceRunError, match="it is truncated or damaged"):
        next(visits)


def one_convolution(channels: int) -> LoweredNet:
    weight = torch.randn(channels, 3, 3, 3)
    conv = Conv(name="conv", inputs=(IMAGE,), weight=weight, bias=torch.zeros(channels))
    return LoweredNet(Graph(nodes=(conv,), input_shape=(3, 32, 32)))
