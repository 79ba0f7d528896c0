"""Progress: a log stays short, a terminal gets a bar, stdout stays clean."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from edgecmp import progress as module
from edgecmp.progress import duration, progress, say

PROGRAM = """
import time
from edgecmp.progress import progress, say
with progress("Embedding", total=3, unit="image") as outer:
    for _ in range(3):
        with progress("Batch", total=2, unit="batch") as inner:
            inner.advance()
            inner.advance()
        outer.advance()
    outer.note("a note [with] brackets")
say("done")
print("result")
"""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_log_gets_a_line_every_tenth_and_a_last_one(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("Embedding", total=1000, unit="image") as bar:
        for _ in range(1000):
            clock.now += 0.02
            bar.advance()
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert lines[0] == "Embedding: 100 of 1,000 images, 2.0 s, 18 s left"
    assert lines[-1] == "Embedding: 1,000 images in 20 s"
    assert len(lines) == 10


def test_slow_work_writes_every_half_minute(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("Training", total=10_000, unit="batch") as bar:
        for _ in range(12):
            clock.now += 10
            bar.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Training: 3 of 10,000 batches, 30 s, 27 h 46 min left"
    assert len(lines) == 5


def test_short_work_writes_one_line(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Reading", total=50, unit="file") as bar:
        for _ in range(50):
            bar.advance()
    assert capsys.readouterr().err == "Reading: 50 files in 0.0 s\n"


def test_unknown_total_counts_on(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Listening", unit="image") as bar:
        clock.now += 31
        bar.advance()
    assert capsys.readouterr().err == "Listening: 1 image, 31 s\nListening: 1 image in 31 s\n"


def test_failed_work_is_not_called_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), progress("Reading", total=2) as bar:
        bar.advance(1 // 0)
    assert capsys.readouterr().err == ""


def test_say_keeps_stdout_clean(capsys: pytest.CaptureFixture[str]) -> None:
    say("one line")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "one line\n")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.23, "4.2 s"), (45, "45 s"), (200, "3 min 20 s"), (3725, "1 h 02 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_terminal_gets_nested_bars_and_stdout_only_the_result() -> None:
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=follower,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    ) as child:
        os.close(follower)
        seen = b""
        while True:
            try:
                chunk = os.read(leader, 4096)
            except OSError:  # Linux's end of file on a pseudo-terminal
                break
            if not chunk:
                break
            seen += chunk
        assert child.stdout is not None
        assert child.stdout.read() == b"result\n"
    os.close(leader)
    assert child.returncode == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    assert "━" in text
    assert "3/3 images" in text
    assert "a note [with] brackets" in text
    assert "done" in text
