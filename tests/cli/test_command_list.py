"""The lists of commands: in the order of the data, each summary whole in 80 columns."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from edgecmp.cli.app import COMMANDS

LONGEST_SUMMARY = 60
"""Characters that fit beside the longest name of a command."""


def listed(text: str) -> dict[str, str]:
    """Names and summaries in the list of commands of a help."""
    rows = text.partition("Commands:\n")[2].splitlines()
    return {row.split()[0]: row.split(maxsplit=1)[1] for row in rows}


@pytest.mark.parametrize("group", ["", "data", "train", "gallery", "latency", "recipes", "study"])
def test_summaries_are_one_short_sentence(
    group: str, edgecmp: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    summaries = listed(edgecmp(*group.split(), "--help").out)
    assert summaries
    for summary in summaries.values():
        assert re.fullmatch(r"[A-Z].*[^.]\.", summary), f"cut off: {summary}"
        assert len(summary) <= LONGEST_SUMMARY


def test_commands_are_listed_as_data_flows_through_them(edgecmp: Callable[..., Any]) -> None:
    assert list(listed(edgecmp("--help").out)) == list(COMMANDS)
    order = ("data", "train", "gallery", "latency", "search", "eval", "export", "parity", "bench")
    assert [name for name in COMMANDS if name in order] == list(order)
