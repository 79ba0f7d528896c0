"""A file that grows by lines has whole lines only, belongs to one process, and survives faults."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.errors import UserError
from edgecmp.storage.line_file import LineFile

FIRST = b'{"work": "this"}'
LINES = st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=5)


def opened(path: Path) -> Any:
    return LineFile.opened(path, FIRST, what="measurement")


@given(lines=LINES, share=st.floats(0, 1))
def test_a_file_that_is_cut_anywhere_keeps_its_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], share: float
) -> None:
    path = tmp_path_factory.mktemp("lines") / "file"
    with opened(path) as file:
        for line in lines:
            file.append(line, sync=False)
    content = path.read_bytes()
    assert content == b"".join(line + b"\n" for line in (FIRST, *lines))
    cut = content[: round(share * len(content))]
    path.write_bytes(cut)
    with opened(path) as file:
        whole = max(1, cut.count(b"\n"))
        assert file.lines == [FIRST, *lines][:whole]
        for line in lines[whole - 1 :]:
            file.append(line, sync=False)
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"hello", b"hello\n", b"x" * 100])
def test_a_file_of_the_user_is_not_touched(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with opened(tmp_path / "file") as file:
        assert file.lines == [content.strip()]
    assert (tmp_path / "file").read_bytes() == content


def test_one_process_at_a_time_has_it_open(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    with opened(path) as file:
        with pytest.raises(UserError, match=rf"Another measurement is writing {path}\."):
            opened(path).__enter__()
        file.remove()
        with opened(path) as again:  # a new file, not the removed one
            again.append(b"1", sync=True)
    assert path.read_bytes() == FIRST + b"\n1\n"


def test_a_disk_that_is_full_from_the_start_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"The measurement stopped: .* \(No space left on device"):
        opened(tmp_path / "file").__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_fits_in_part_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Short(io.FileIO):
        def write(self, content: Any) -> int:
            return super().write(bytes(content)[:3])

    with opened(tmp_path / "file") as file:
        file.append(b"whole", sync=True)
        with monkeypatch.context() as patch, Short(os.dup(file._file.fileno()), "r+") as short:
            patch.setattr(file, "_file", short)
            with pytest.raises(UserError, match="rerun the command to resume the measurement"):
                file.append(b"partial", sync=True)
        assert (tmp_path / "file").read_bytes() == FIRST + b"\nwhole\n"
        file.append(b"next", sync=True)
    assert (tmp_path / "file").read_bytes() == FIRST + b"\nwhole\nnext\n"


@pytest.mark.parametrize("name", ["x" * 256, "a\0b", "file/x"])
def test_a_name_that_cannot_be_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        opened(tmp_path / name).__enter__()
