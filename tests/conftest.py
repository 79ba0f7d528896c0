"""What tests of several folders share: the virtual arm64 board."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.testbeds.board import Board
from tests.testbeds.recipe import missing

__all__ = ["board"]


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
