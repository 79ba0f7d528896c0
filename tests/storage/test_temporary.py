"""Folders for temporary files: their own errors are told apart from those of the work in them."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecmp.errors import UserError
from edgecmp.storage.temporary import temporary_files


def work(fails: Callable[[Path], OSError]) -> None:
    """Work with a folder for temporary files that fails."""
    with temporary_files() as folder:
        raise fails(folder)


def test_the_folder_is_removed() -> None:
    with temporary_files() as folder:
        (folder / "a").write_bytes(b"1")
    assert not folder.exists()


def test_a_full_disk_is_told_as_such() -> None:
    with pytest.raises(UserError, match="Temporary files cannot be written to"):
        work(lambda folder: OSError(errno.ENOSPC, "No space left on device", str(folder / "a")))


def test_numpy_names_neither_the_file_nor_the_reason() -> None:
    with pytest.raises(UserError, match="there is no space left"):
        work(lambda _: OSError("100 requested and 0 written"))


@pytest.mark.parametrize("name", ["/usr/bin/adb", Path("model.tflite")])
def test_an_error_of_another_file_keeps_its_name(name: str | Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        work(lambda _: FileNotFoundError(errno.ENOENT, "No such file or directory", str(name)))
    assert raised.value.filename == str(name)
