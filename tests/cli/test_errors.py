"""A user's mistake is one sentence on stderr that says the way out, and exit code 2."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecmp import api
from edgecmp.cli import bench as bench_command
from edgecmp.errors import UserError
from edgecmp.report import on_interrupt


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("serch", "Did you mean 'search'"),
        ("train quary", "Did you mean 'query'"),
        ("search --bugdet 100M", "Did you mean --budget?"),
        ("eval --modle x", "Did you mean --model?"),
        ("search", "--budget"),
        ("search --budget 100M", "--out"),
        ("search --budget 100M --out x --seed one", "--seed"),
        ("export --target tflite", "--out"),
        ("parity", "FILES"),
        ("bench --threads 0 x.tflite", "--threads 1,2"),
        ("bench --threads 1,,2 x.tflite", "--threads 1,2"),
        ("zzz", "edgecmp --help"),
    ],
)
def test_usage_mistakes(line: str, says: str, edgecmp: Callable[..., Any]) -> None:
    result = edgecmp(*line.split())
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert says in result.err


def test_a_file_that_is_missing(tmp_path: Path, edgecmp: Callable[..., Any]) -> None:
    result = edgecmp("flops", tmp_path / "no.json")
    assert result.code == 2
    assert "no.json" in result.err
    result = edgecmp("bench", tmp_path / "no.tflite")
    assert result.code == 2
    assert "no.tflite does not exist" in result.err


def test_json_names_a_folder(tmp_path: Path, edgecmp: Callable[..., Any]) -> None:
    result = edgecmp("flops", "a.json", "--json", tmp_path)
    assert result.code == 2
    assert "--json" in result.err


def test_an_interrupt_says_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, edgecmp: Callable[..., Any]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "count_flops", interrupted)
    result = edgecmp("flops", "a.json")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "Interrupted. No incomplete file was left" in result.err
    sentence = r"Interrupted\. The history is kept\."
    with pytest.raises(UserError, match=sentence), on_interrupt("The history is kept."):
        interrupted()


def test_ctrl_c_in_a_real_process() -> None:
    program = (
        "import os, signal, sys\n"
        "from edgecmp import api\n"
        "from edgecmp.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs\n"
        "api.count_flops = lambda files: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.exit(main(['flops', 'a.json']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: Interrupted.")
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_told_and_a_bug_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch, edgecmp: Callable[..., Any]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "big.bin")

    monkeypatch.setattr(api, "count_flops", full)
    result = edgecmp("flops", "a.json")
    assert result.code == 2
    assert "big.bin: No space left on device" in result.err

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(bench_command, "_thread_counts", broken)
    result = edgecmp("bench", "a.tflite")
    assert result.code == 70
    assert "ZeroDivisionError" in result.err
    assert "This is a bug in edgecmp" in result.err
