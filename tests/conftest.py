"""What tests of several folders share: a command run here, the virtual board, a phone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from edgecmp.cli import main
from tests.testbeds.adbd import AdbDaemon
from tests.testbeds.board import Board
from tests.testbeds.phone import adb, client
from tests.testbeds.phone import phone as start_phone
from tests.testbeds.recipe import missing

__all__ = ["adb_client", "adb_variables", "board", "edgecmp", "phone"]

settings.register_profile("edgecmp", deadline=None)  # a busy machine is no failure
settings.load_profile("edgecmp")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps a module on one worker, so that what its tests share is made once."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


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


def _require(reason: str) -> None:
    """Skips with that reason, if there is one; fails where test beds must not be skipped."""
    if reason and os.environ.get("EDGECMP_REQUIRE_TESTBEDS"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def board() -> Iterator[Board]:
    """The virtual arm64 board, booted once; its tests carry `@pytest.mark.xdist_group("board")`."""
    _require(missing())
    with Board.boot() as running:
        yield running


@pytest.fixture(scope="session")
def adb_variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of an adb client of our own, whose server is ended afterwards."""
    _require("" if shutil.which("adb") else "There is no adb client: sudo apt install adb.")
    with client(tmp_path_factory.mktemp("adb-home")) as variables:
        yield variables


@pytest.fixture
def adb_client(adb_variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The real adb client, with no device attached."""
    for name, text in adb_variables.items():
        monkeypatch.setenv(name, text)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    yield
    adb("disconnect")


@pytest.fixture
def phone(adb_client: None, tmp_path: Path) -> Iterator[AdbDaemon]:
    """A phone that can be reached over adb; it is this machine, with our daemon."""
    with start_phone(tmp_path / "phone") as daemon:
        yield daemon
