"""A child that dies, hangs or takes all memory becomes one sentence; the parent goes on."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edgecmp import caged
from edgecmp.errors import UserError

HERE = "tests.test_caged"


def answers(path: Path) -> dict[str, Any]:
    """Prints too, as runtimes do."""
    print("noise")
    os.write(1, b"more noise")
    os.write(2, b"and this")
    return {"path": str(path), "pid": os.getpid(), "paths": sys.path}


def crashes(path: Path) -> None:
    ctypes.string_at(0)


def aborts(path: Path) -> None:
    os.abort()


def ends(path: Path) -> None:
    os._exit(3)


def hangs(path: Path) -> None:
    while True:
        pass


def sleeps(path: Path) -> None:
    time.sleep(60)


def fills_memory(path: Path) -> int:
    return len(bytearray(2**30))


def recurses(path: Path) -> None:
    recurses(path)


def raises(path: Path) -> None:
    raise LookupError("no such\ntensor")


def refuses(path: Path) -> None:
    raise UserError("It is upside down.", "Turn it.")


def tells_too_much(path: Path) -> str:
    return "x" * (caged.MOST_ANSWER + 1)


def test_the_answer_comes_back_and_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    found = caged.call(f"{HERE}:answers", Path("a.onnx"))
    assert found["path"] == "a.onnx"
    assert found["pid"] != os.getpid()
    assert found["paths"] == sys.path
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("crashes", "its reader crashed (SIGSEGV)"),
        ("aborts", "its reader crashed (SIGABRT)"),
        ("ends", "its reader ended with code 3"),
        ("hangs", "it takes more than 1 seconds of processor time"),
        ("sleeps", "it takes more than 4 seconds"),
        ("recurses", "maximum recursion depth exceeded"),
        ("raises", "no such."),
        ("tells_too_much", "its description is too long"),
        pytest.param(
            "fills_memory",
            "it needs more than 0.5 GiB of memory",
            marks=pytest.mark.skipif(sys.platform == "darwin", reason="macOS sets no such limit"),
        ),
    ],
)
@pytest.mark.slow(
    quick=[
        "crashes-its reader crashed (SIGSEGV)",
        "hangs-it takes more than 1 seconds of processor time",
        "fills_memory-it needs more than 0.5 GiB of memory",
    ]
)
def test_each_end_is_named(function: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        caged.call(f"{HERE}:{function}", Path("a.onnx"), seconds=1, memory=2**29)
    assert caught.value.what.startswith("a.onnx cannot be loaded: ")
    assert says in caught.value.what


def test_a_sentence_of_the_child_is_the_parents(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError) as caught:
        caged.call(f"{HERE}:refuses", Path("a.onnx"))
    assert (caught.value.what, caught.value.way_out) == ("It is upside down.", "Turn it.")
