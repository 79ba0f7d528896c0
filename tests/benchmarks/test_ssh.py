"""The ssh device against the real sshd of the virtual arm64 board."""

from __future__ import annotations

import pytest

from edgecmp.benchmarks.devices import open_device
from tests.testbeds.board import Board

pytestmark = pytest.mark.xdist_group("board")


def test_the_board_says_what_it_is(board: Board) -> None:
    with open_device(board.name) as device:
        facts = device.facts
    assert facts["machine"] == "aarch64"
    assert facts["runtimes"]["tflite-runtime"] == {"version": "2.14.0"}
