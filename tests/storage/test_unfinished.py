"""Pieces of interrupted work are used again only if they are whole and of the same settings."""

from __future__ import annotations

import errno
import os
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.errors import UserError
from edgecmp.storage.unfinished import Unfinished

SETTINGS = {"data": "a", "size": 3, "list": [1, 2]}


def work_in(folder: Path, **changes: object) -> AbstractContextManager[Unfinished]:
    """The pieces of a result called "result"."""
    return Unfinished.opened(
        folder / ".unfinished", SETTINGS | changes, what="thing", result=folder / "result"
    )


def interrupted(folder: Path, pieces: dict[str, bytes]) -> None:
    """Leaves finished pieces behind."""
    with suppress(KeyboardInterrupt), work_in(folder) as work:
        for name, content in pieces.items():
            work.put(name, content)
        raise KeyboardInterrupt


@given(pieces=st.dictionaries(st.sampled_from("abc"), st.binary(), min_size=1), at=st.integers(0))
def test_a_piece_is_found_again_unless_a_byte_of_it_changed(
    tmp_path_factory: pytest.TempPathFactory, pieces: dict[str, bytes], at: int
) -> None:
    folder = tmp_path_factory.mktemp("work")
    interrupted(folder, pieces)
    victim = min(pieces)
    content = bytearray(pieces[victim] or b"x")
    content[at % len(content)] ^= 1
    with suppress(KeyboardInterrupt), work_in(folder) as work:
        assert len(work) == len(pieces)
        assert {name: work.get(name) for name in pieces} == pieces
        assert work.get("other") is None
        (work.pieces / victim).write_bytes(content)
        assert work.get(victim) is None
        raise KeyboardInterrupt
    with work_in(folder):
        pass
    assert list(folder.iterdir()) == []


def test_nothing_stays_of_work_that_finished_no_piece(tmp_path: Path) -> None:
    interrupted(tmp_path, {})
    assert list(tmp_path.iterdir()) == []


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    interrupted(tmp_path, {"a": b"1"})
    with pytest.raises(UserError) as refusal, work_in(tmp_path, size=4, more=True):
        pass
    assert f"{tmp_path}/result (more was null, now true, size was 3, now 4)" in refusal.value.what
    assert f"delete {tmp_path}/.unfinished" in refusal.value.way_out
    (tmp_path / ".unfinished" / "settings.json").write_text("{")
    with pytest.raises(UserError, match="settings of an interrupted run"), work_in(tmp_path):
        pass


@pytest.mark.parametrize("gone", ["settings.json", "a.sha256"])
def test_an_interrupted_removal_is_completed(gone: str, tmp_path: Path) -> None:
    """Without its settings or its hash, a piece is worth nothing."""
    interrupted(tmp_path, {"a": b"1"})
    (tmp_path / ".unfinished" / gone).unlink()
    with work_in(tmp_path, size=4) as work:
        assert len(work) == 0
        assert work.get("a") is None
        assert list(work.pieces.iterdir()) == []


def test_errors_name_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with work_in(tmp_path) as work:
        work.put("a", b"1")
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(UserError) as refusal:
                work.put("b", b"2")
        assert refusal.value.what.startswith(f"The disk is full: {tmp_path}/result was not written")
        assert work.get("b") is None
        assert work.get("a") == b"1"
    with (
        work_in(tmp_path),
        pytest.raises(UserError, match=rf"makes a thing is writing to {tmp_path}/result\."),
    ):
        work_in(tmp_path).__enter__()
