"""What tests of several folders share: a command run here, the virtual arm64 board."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from edgecmp.cli import main
from tests.testbeds.board import Board
from tests.testbeds.recipe import missing

__all__ = ["board", "edgecmp"]


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def edgecmp(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs `edgecmp ARGUMENTS` as the console script would."""

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(code=code, out=captured.out, err=captured.err)

    return run


@pytest.fixture(scope="session")
def board() -> Iterator[Board]:
    """The virtual arm64 board, booted once; its tests carry `@pytest.mark.xdist_group("board")`."""
    reason = missing()
    if reason and os.environ.get("EDGECMP_REQUIRE_TESTBEDS"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with Board.boot() as running:
        yield running
