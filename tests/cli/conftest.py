"""What the command-line tests share: running a command in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from edgecmp.cli import main


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
