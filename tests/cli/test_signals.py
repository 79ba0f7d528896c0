"""SIGTERM and SIGHUP end a command like Ctrl-C: a sentence, exit code 2, and no process left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgecmp.cli.signals import REPEAT_S, interruptible
from tests.fixtures.small_models import write_model
from tests.kills.harness import ROOT

WAITING = """
import signal, sys, time
from edgecmp import api
from edgecmp.cli import main

def work(files):
    try:
        print("working", flush=True)
        for _ in range(600):  # a signal just before a sleep is handled only after it
            time.sleep(0.1)
    except KeyboardInterrupt:
        print("cleaning", flush=True)
        time.sleep({cleaning})
        raise

# Ignored in background jobs and under nohup.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
{before}
api.count_flops = work
sys.exit(main(["flops", "a.json"]))
"""


def waiting(cleaning: float = 0.0, before: str = "") -> subprocess.Popen[str]:
    """A command that works until a signal ends it, and then cleans up for some time."""
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING.format(cleaning=cleaning, before=before)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_is_a_sentence(number: signal.Signals) -> None:
    process = waiting()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "cleaning\n")
    assert err == "error: Interrupted. No incomplete file was left: rerun the command.\n"


def test_a_second_one_at_once_is_the_same_wish() -> None:
    """As `timeout` sends it."""
    process = waiting(cleaning=0.3)
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.readline() == "cleaning\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 2


def test_a_later_one_ends_it_at_once() -> None:
    process = waiting(cleaning=60)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "cleaning\n"
    time.sleep(1.3 * REPEAT_S)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGTERM


def test_what_is_ignored_stays_ignored() -> None:
    """As under nohup."""
    process = waiting(before="signal.signal(signal.SIGHUP, signal.SIG_IGN)")
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 2


def test_handlers_are_restored() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def line(command: str, folder: Path) -> list[str]:
    """The arguments of a long command."""
    out = str(folder / "out")
    return {
        "gallery": ["gallery", "build", "--out", out],
        "shard": ["data", "shard", "--out", out],
        "search": ["search", "--budget", "100M", "--jobs", "2", "--out", out],
        "latency": ["latency", "build", "--out", f"{out}.json"],
        "train": ["train", "gallery", "--out", out],
        "eval": ["eval", "--json", f"{out}.json"],
        "bench": [
            *("bench", str(folder / "model.tflite"), "--runtime", "litert"),
            *("--sustained", "1", "--json", f"{out}.json"),
        ],
    }[command]


SAYS = {
    "gallery": "Indexing",
    "shard": "Writing shards:",
    "search": "Generation  1/",
    "latency": "Measuring: 3",
    "train": "training images",
    "eval": "Evaluating",
    "bench": "",
}
"""What a command prints when the signal is sent; after three seconds for the other."""


@pytest.mark.kills(quick=["eval-group"])
@pytest.mark.parametrize("to", ["process", "group"])
@pytest.mark.parametrize("command", SAYS)
def test_a_real_command_leaves_no_process_and_no_temporary(
    command: str, to: str, tmp_path: Path
) -> None:
    """The signal is sent to the command alone, as by `kill`, or to its children too."""
    write_model(tmp_path / "model.tflite")
    process = subprocess.Popen(
        [sys.executable, "-m", "edgecmp", *line(command, tmp_path)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stderr is not None
    told = ""
    if SAYS[command]:
        while SAYS[command] not in told:
            told += process.stderr.readline()
            assert process.poll() is None, told
    else:
        time.sleep(3)
    if to == "process":
        process.terminate()
    else:
        os.killpg(process.pid, signal.SIGTERM)
    told += process.communicate(timeout=60)[1]
    assert process.returncode == 2, told
    assert "Traceback" not in told
    assert told.splitlines()[-1].startswith("error: Interrupted."), told
    no_process_is_left(process)
    assert [path.name for path in tmp_path.rglob("*") if path.name.endswith(".part")] == []


def no_process_is_left(process: subprocess.Popen[str]) -> None:
    """Waits until no process of the command's session is left, and fails otherwise."""
    deadline = time.monotonic() + 20
    while True:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        if time.monotonic() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError("A process of the command is still running.")
        time.sleep(0.1)
