"""The ssh device: the real client against the real sshd of the virtual arm64 board."""

from __future__ import annotations

import json
import re
import socket
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecmp.benchmarks.devices import Device, DeviceLostError, DeviceRunError, open_device
from edgecmp.data import load_dataset
from edgecmp.errors import UserError
from edgecmp.export import export
from edgecmp.export.runtimes.open import open_model
from tests.fixtures.small_models import write_model
from tests.testbeds.board import Board

pytestmark = pytest.mark.board

RUNTIME = "tflite-runtime"


def median_us(device: Device, model: Path) -> float:
    """Of the runs without preemption."""
    timed = device.time_model(model, runtime=RUNTIME, runs=20)
    pairs = zip(timed["wall_us"], timed["switches"], strict=True)
    return float(np.median([wall for wall, switched in pairs if not switched]))


def test_the_board_says_what_it_is(board: Board) -> None:
    with open_device(board.name) as device:
        facts = device.facts
    assert facts["machine"] == "aarch64"
    assert facts["cpu"] == "Cortex-A76"
    assert facts["cores"] == 1
    assert facts["model"] == facts["soc"] == "linux,dummy-virt"
    assert 1000 < facts["memory_mb"] < 1500
    assert facts["governor"] is None
    assert facts["temperatures_c"] == {}
    assert facts["runtimes"][RUNTIME] == {"version": "2.14.0"}
    assert "No module named 'ai_edge_litert'" in facts["runtimes"]["litert"]["reason"]


def test_bench_over_ssh(board: Board, tmp_path: Path, edgecmp: Callable[..., Any]) -> None:
    model, report = write_model(tmp_path / "a.tflite"), tmp_path / "bench.json"
    result = edgecmp("bench", "--device", board.name, model, "--json", report)
    assert result.code == 0, result.err
    document = json.loads(report.read_text())
    assert document["device"]["cpu"] == "Cortex-A76"
    rows = {row["runtime"]: row for row in document["rows"]}
    assert rows["litert"]["verdict"] == "not run"
    assert rows[RUNTIME]["verdict"] == "measured"
    assert rows[RUNTIME]["runs"] == 200
    assert 0 < rows[RUNTIME]["p50_ms"] <= rows[RUNTIME]["p90_ms"]
    assert board.ssh("ls -d /tmp/edgecmp.* || true") == ""


def test_the_board_computes_what_the_host_computes(board: Board, tmp_path: Path) -> None:
    file = tmp_path / "query.tflite"
    export(target="tflite", out=file)
    runner = next(found for found in open_model(file) if found.name == RUNTIME)
    images = load_dataset("emoji").retrieval("test").queries
    pixels = images.pixels(runner.preprocessing, np.linspace(0, len(images) - 1, 8).astype(int))
    inputs = runner.to_input(pixels)
    with open_device(board.name) as device:
        there = device.compute(file, inputs, runtime=RUNTIME)
        assert ".npy" not in device.run(["ls", str(Path(device.push(file)).parent)])
    assert there.shape == (8, 128)
    assert np.abs(there - runner.embed(pixels)).max() <= 1e-5
    assert np.linalg.norm(there[0] - there[1]) > 0.1


@contextmanager
def forwarded(port: int) -> Iterator[int]:
    """A port of the IPv6 loopback that leads to a port of the IPv4 loopback."""

    class Forward(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as there:
                pump = threading.Thread(target=copy, args=(there, self.request), daemon=True)
                pump.start()
                copy(self.request, there)

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    class Server(socketserver.ThreadingTCPServer):
        address_family = socket.AF_INET6
        daemon_threads = True

    with Server(("::1", 0), Forward) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()


def test_an_ipv6_address_with_a_port(board: Board) -> None:
    """The name of the address is not in known_hosts, so the board's alias stands in for it."""
    config = board.folder / "ipv6_config"
    text = (board.folder / "ssh_config").read_text()
    port = re.search(r"(?m)^\s*Port\s+(\d+)", text)
    name = re.search(r"(?m)^\s*HostName\s+(\S+)", text)
    assert port is not None
    assert name is not None
    keys = re.sub(r"(?m)^\s*(Host|HostName|Port|User)\b.*$", "", text)
    config.write_text(f"Host *\n  HostKeyAlias [{name[1]}]:{port[1]}\n{keys}")
    with (
        forwarded(int(port[1])) as other,
        open_device(f"ssh://root@[::1]:{other}?config={config}") as device,
    ):
        assert device.run(["echo", "there"]) == "there\n"


def test_a_tilde_is_the_home_folder_there_or_here(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.ssh("mkdir -p '/root/a place'; ln -sf $(command -v python3) '/root/my python'")
    monkeypatch.setenv("HOME", str(board.folder))
    name = "ssh://board?config=~/ssh_config&folder=~/a place&python=~/my python"
    with open_device(name) as device:
        assert device.python == "/root/my python"
        assert device.facts["python"]
        assert board.ssh("ls '/root/a place'").startswith("edgecmp.")
    assert board.ssh("ls '/root/a place'") == ""


def test_wrong_inputs_are_refused(board: Board, tmp_path: Path) -> None:
    model = write_model(tmp_path / "a.tflite")
    with (
        open_device(board.name) as device,
        pytest.raises(DeviceRunError, match=r"it reads float32 \[32, 32, 3\], not uint8 \[8, 8\]"),
    ):
        device.compute(model, np.zeros((1, 8, 8), np.uint8), runtime=RUNTIME)


def test_files_with_odd_names_go_and_come(board: Board, tmp_path: Path) -> None:
    source, copy = tmp_path / "it's $HOME; a model.bin", tmp_path / "copy.bin"
    source.write_bytes(bytes(range(256)) * 1000)
    with open_device(board.name) as device:
        device.pull(device.push(source), copy)
        with pytest.raises(DeviceRunError, match="No such file"):
            device.pull("/tmp/no-such-file", copy)
    assert copy.read_bytes() == source.read_bytes()


def test_a_shell_that_talks_first_does_not_matter(board: Board, tmp_path: Path) -> None:
    board.ssh("echo 'echo 42 Welcome; echo Mind the gap >&2' > /etc/ssh/sshrc")
    talks = tmp_path / "talks"
    talks.write_bytes(b"x" * 7)
    try:
        with open_device(board.name) as device:
            assert device.run(["cat", device.push(talks)]).endswith("x" * 7)
            with pytest.raises(DeviceRunError, match="No such file"):
                device.run(["cat", "/no/file"])
    finally:
        board.ssh("rm /etc/ssh/sshrc")


def test_two_boots_take_the_same_time_until_the_plug_is_pulled(
    board: Board, tmp_path: Path
) -> None:
    file = tmp_path / "query.tflite"
    export(target="tflite", out=file)
    with open_device(board.name) as device:
        first = median_us(device, file)
    with Board.boot() as other:
        with open_device(other.name) as device:
            second = median_us(device, file)
            threading.Timer(2.0, other.kill).start()
            with pytest.raises(DeviceLostError, match="was lost while it ran sleep") as caught:
                device.run(["sleep", "60"])
        with pytest.raises(UserError, match=r"cannot be reached .*Connection refused") as refused:
            open_device(other.name)
    assert abs(second / first - 1) < 0.005
    assert "run the same command" in caught.value.way_out
    assert f"ssh -F {other.folder}/ssh_config board true" in str(refused.value)


def test_the_clock_is_set_back_meanwhile(board: Board, tmp_path: Path) -> None:
    model = write_model(tmp_path / "a.tflite", 64)
    stop = (
        "touch /tmp/stepping; n=0; while test -f /tmp/stepping; do "
        "date -s '2001-01-01' >/dev/null; date -s '2020-01-01' >/dev/null; n=$((n + 1)); "
        "sleep 0.02; done; echo $n"
    )
    command = ["ssh", "-F", str(board.folder / "ssh_config"), "board", stop]
    with open_device(board.name) as device:
        before = median_us(device, model)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stepping:
            while "yes" not in board.ssh("test -f /tmp/stepping && echo yes || true"):
                pass
            during = device.time_model(model, runtime=RUNTIME, runs=60)
            board.ssh("rm /tmp/stepping")
            steps = int(stepping.communicate()[0])
    assert steps > 10
    assert min(during["wall_us"]) > 0
    assert min(during["init_us"], during["first_us"]) > 0
    pairs = zip(during["wall_us"], during["switches"], strict=True)
    calm = np.median([wall for wall, switched in pairs if not switched])
    assert abs(calm / before - 1) < 0.01
