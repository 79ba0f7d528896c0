"""What goes wrong with a board over ssh: the sentence of each fault, and how it resumes."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecmp.benchmarks.devices import (
    Device,
    DeviceLostError,
    DeviceRunError,
    open_device,
)
from edgecmp.errors import UserError
from tests.fixtures.device_faults import RUNTIME, goes_on, refused, until_failure
from tests.fixtures.small_models import write_model, write_models
from tests.testbeds.board import Board

pytestmark = pytest.mark.board


def script(board: Board, name: str, body: str) -> str:
    """A shell script on the board, to name in ?python=."""
    path = f"/tmp/{name}"
    board.ssh(f"cat > {path} << 'END'\n#!/bin/sh\n{body}\nEND\nchmod +x {path}")
    return path


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"port": "closed"}, "ssh://board cannot be reached (ssh: connect to host 127.0.0.1 port"),
        ({"key": "stranger"}, "ssh://board refuses the key (root@127.0.0.1: Permission denied"),
        (
            {"known_hosts": "nobody"},
            "ssh://board has a host key that is unknown or has changed",
        ),
    ],
)
def test_no_way_in(
    changed: dict[str, Any],
    says: str,
    board: Board,
    tmp_path: Path,
    edgecmp: Callable[..., Any],
) -> None:
    if "port" in changed:
        changed = {"port": closed_port()}
    model = write_model(tmp_path / "a.tflite")
    config = board.config("changed", **changed)
    result = edgecmp("bench", "--device", board.named(config=config), model)
    refused(result, says, f"ssh -F {config} board")


def test_another_host_key_than_before(board: Board) -> None:
    known = (board.folder / "known_hosts").read_text()
    other = (board.key_folder / "stranger.pub").read_text()
    (board.folder / "changed_hosts").write_text(f"{known.split()[0]} {other}")
    config = board.config("changed", known_hosts="changed_hosts")
    with pytest.raises(UserError, match="is unknown or has changed"):
        open_device(board.named(config=config))


def test_a_missing_config_and_a_missing_client(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="Can't open user config file /no/file"):
        open_device(board.named(config="/no/file"))
    monkeypatch.setenv("PATH", "/no/bin")
    with pytest.raises(UserError, match=r"There is no ssh client on this machine\. Install one"):
        open_device(board.name)


def test_lost_in_the_middle_of_a_run(board: Board, tmp_path: Path) -> None:
    models = write_models(tmp_path, 4)
    body = (
        'case "$*" in *--plan*) ;; *) exec python3 "$@";; esac\n'
        'python3 "$@" | (read -r a; read -r b; printf "%s\\n%s\\n" "$a" "$b"; '
        "kill -9 $(ps | sed -n 's/^ *\\([0-9]*\\) .*sshd: root@.*/\\1/p'))"
    )
    python = script(board, "loses", body)
    with open_device(board.named(python=python)) as device:
        visits, error = until_failure(device, models)
    assert isinstance(error, DeviceLostError)
    assert error.what.startswith("The connection to ssh://board was lost while it ran loses")
    assert len(visits) == 2
    goes_on(board.name, models, visits)


def test_truncated_output(board: Board, tmp_path: Path) -> None:
    models = write_models(tmp_path, 4)
    python = script(board, "cuts", 'python3 "$@" | head -c 900')
    with open_device(board.named(python=python)) as device:
        visits, error = until_failure(device, models)
    assert "the output of the runner was cut off" in str(error)
    assert len(visits) < len(models)
    goes_on(board.name, models, visits)


def test_a_model_that_the_runtime_refuses(
    board: Board, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    models = write_models(tmp_path, 3)
    whole = models[1].read_bytes()
    models[1].write_bytes(whole[:500])
    with open_device(board.name) as device:
        visits, error = until_failure(device, models)
    assert str(error) == "it is truncated or damaged (No subgraph in the model)"
    assert len(visits) == 1
    result = edgecmp("bench", "--device", board.name, models[1])
    refused(result, f"{models[1]} cannot be timed: it is truncated or damaged (No subgraph in")
    models[1].write_bytes(whole)
    goes_on(board.name, models, visits)


def test_a_full_disk(board: Board, tmp_path: Path, edgecmp: Callable[..., Any]) -> None:
    big = tmp_path / "big.tflite"
    big.write_bytes(write_model(tmp_path / "a.tflite").read_bytes() + bytes(2_000_000))
    board.ssh("mkdir -p /small && mount -t tmpfs -o size=1m tmpfs /small")
    words = ("bench", "--device", board.named(folder="/small"), big)
    try:
        refused(edgecmp(*words), "has no room for big.tflite (2.0 MB). Free some space in /small")
        assert board.ssh("ls /small") == ""
        board.ssh("mount -o remount,size=8m /small")
        with open_device(board.named(folder="/small")) as device:
            assert median(device, big) > 0
    finally:
        board.ssh("umount /small")


def median(device: Device, model: Path) -> float:
    timed = device.time_model(model, runtime=RUNTIME, runs=5)["wall_us"]
    return float(sorted(timed)[len(timed) // 2])


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        ("/proc", "cannot create a temporary folder"),
        ("/no", "cannot create a temporary folder"),
    ],
)
def test_a_folder_that_cannot_be_written(folder: str, says: str, board: Board) -> None:
    with pytest.raises(UserError, match=says) as caught:
        open_device(board.named(folder=folder))
    assert "?folder=" in caught.value.way_out


def test_a_folder_that_goes_away(board: Board, tmp_path: Path) -> None:
    model = write_model(tmp_path / "a.tflite")
    with open_device(board.name) as device:
        board.ssh("rm -rf /tmp/edgecmp.*")
        with pytest.raises(UserError, match=r"cannot store a\.tflite .*nonexistent") as caught:
            device.push(model)
    assert not isinstance(caught.value, DeviceLostError)


@pytest.mark.parametrize(
    ("body", "says", "way_out"),
    [
        (
            None,
            "has no Python called /no/python (sh: 1: /no/python: not found (exit code 127))",
            "3.8",
        ),
        (
            'if test "$1" = -c; then echo 3.6.9 "(default)"; exit; fi\n'
            "echo 'SyntaxError: future feature annotations is not defined' >&2; exit 1",
            "The Python of ssh://board must be 3.8 or later (it is 3.6.9).",
            "Name a later one: ssh://board?python=/path/to/python3.",
        ),
        (
            'if test "$1" = -c; then exec python3 "$@"; fi; kill -SEGV $$',
            "cannot run the measuring program (Segmentation fault (exit code 139))",
            "Check its Python",
        ),
    ],
)
def test_a_python_that_will_not_do(
    body: str | None,
    says: str,
    way_out: str,
    board: Board,
    tmp_path: Path,
    edgecmp: Callable[..., Any],
) -> None:
    python = "/no/python" if body is None else script(board, "odd-python", body)
    model = write_model(tmp_path / "a.tflite")
    refused(edgecmp("bench", "--device", board.named(python=python), model), says, way_out)


def test_a_python_without_the_runtime(board: Board, tmp_path: Path) -> None:
    python = script(board, "bare-python", 'exec python3 -S "$@"')
    with open_device(board.named(python=python)) as device:
        assert "No module named 'numpy'" in device.facts["runtimes"][RUNTIME]["reason"]
        with pytest.raises(DeviceRunError, match="ModuleNotFoundError: No module named 'numpy'"):
            device.time_model(write_model(tmp_path / "a.tflite"), runtime=RUNTIME)


def test_what_takes_too_long_is_ended_there(board: Board) -> None:
    with open_device(board.name) as device:
        with pytest.raises(DeviceRunError, match="it took longer than 1 s"):
            device.run(["sleep", "4321"], timeout_s=1.0)
        assert "sleep 4321" not in device.run(["ps"])
        assert device.run(["echo", "next"]) == "next\n"
