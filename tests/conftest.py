"""What tests of several folders share: a command run here, the virtual board, a phone."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from edgecmp.cli import main
from tests.testbeds.adbd import AdbDaemon
from tests.testbeds.board import Board
from tests.testbeds.phone import adb, client
from tests.testbeds.phone import phone as start_phone
from tests.testbeds.recipe import missing

__all__ = ["adb_client", "adb_variables", "board", "edgecmp", "phone"]

BOARD = "tests/benchmarks/devices/board/"
"""The modules that share the virtual board."""

LONG = {"slow", "kills", "roads", "board", "peers", "packaging"}
"""The marks that `make test` leaves out; pyproject.toml explains them."""

PARTLY = ("slow", "kills", "roads")
"""The marks that may let some cases of a function into the quick suite."""

settings.register_profile("edgecmp", deadline=None)  # a busy machine is no failure
settings.load_profile("edgecmp")


class Modules(LoadFileScheduling):  # type: ignore[misc]
    """Keeps a module on one worker, so that what its tests share is made once.

    So are all modules of the virtual board, which then boots once. (xdist 3.8's own groups, by
    `--dist loadgroup`, have no effect under pytest 9.2.)
    """

    def _split_scope(self, nodeid: str) -> str:
        module = super()._split_scope(nodeid)
        return BOARD if module.startswith(BOARD) else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Modules:
    """Hands out modules in the order of collection, see `pytest_collection_modifyitems`."""
    config.option.loadscopereorder = False
    return Modules(config, log)


@pytest.hookimpl(tryfirst=True)  # before -m selects by the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Lets quick cases out of their marks, and puts modules with long tests first.

    `@pytest.mark.slow(quick=["case"])` marks all cases of a function but those named; `kills` too.
    """
    unknown: dict[str, set[str]] = {}
    for item in items:
        mark = next((mark for mark in item.own_markers if mark.name in PARTLY), None)
        if mark is not None and "quick" in mark.kwargs:
            function, _, case = item.nodeid.partition("[")
            unknown.setdefault(function, set(mark.kwargs["quick"])).discard(case[:-1])
            if case[:-1] in mark.kwargs["quick"]:
                item.own_markers.remove(mark)
    for function, cases in unknown.items():
        if cases and "::" not in "".join(config.args):
            raise pytest.UsageError(f"{function} has no case {sorted(cases)}.")
    _sample(config, items)
    long = {item.path for item in items if any(mark.name in LONG for mark in item.iter_markers())}
    items.sort(key=lambda item: item.path not in long)


def _sample(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps one test in EDGECMP_SAMPLE, by the hash of its name: some of nearly every module."""
    every = int(os.environ.get("EDGECMP_SAMPLE", "1"))
    chosen = [zlib.crc32(item.nodeid.encode()) % every == 0 for item in items]
    rest = [item for item, kept in zip(items, chosen, strict=True) if not kept]
    config.hook.pytest_deselected(items=rest)
    items[:] = [item for item, kept in zip(items, chosen, strict=True) if kept]


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
    """The virtual arm64 board, booted once: its modules lie in one folder, see `Modules`."""
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
