"""What the README shows is what happens: its first result and its Python snippet."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
IDENTITIES = re.compile(r"mushroom\.png +\d+ +(\S+)")


def block(start: str) -> str:
    """The first code block that begins with `start`."""
    found = re.search(rf"```\w*\n({re.escape(start)}.*?)```", README, re.DOTALL)
    assert found, start
    return found[1]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the README's drawing, and the working directory."""
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("clone")
def test_the_first_result_is_the_one_shown(edgecmp: Callable[..., Any]) -> None:
    lines = [line.partition("#")[0] for line in block("make demo").splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("edgecmp ")]
    assert [command[0] for command in commands] == ["export", "bench", "find"]
    for command in commands:
        result = edgecmp(*command)
        assert result.code == 0, result.err
    shown = IDENTITIES.findall(block("query.tflite in litert"))
    assert len(shown) == 5
    assert IDENTITIES.findall(result.out) == shown
    assert shown[0] == f"{ord('🍄'):x}"


@pytest.mark.slow
def test_the_python_snippet_runs(clone: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block("import edgecmp")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert IDENTITIES.findall(done.stdout)[0] == "1f344"
    assert (clone / "runs" / "search" / "architecture.json").is_file()


def test_it_is_short_and_names_what_exists() -> None:
    assert len(README.splitlines()) <= 150
    for target in re.findall(r"^make ([a-z-]+)", README, re.MULTILINE):
        assert f"\n{target}: " in (ROOT / "Makefile").read_text()
    for path in re.findall(r"\]\(([^)#:]+)", README):
        assert (ROOT / path).exists(), path
