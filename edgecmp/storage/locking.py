"""A folder that one process holds, so that two do not write to it at the same time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgecmp.errors import UserError
from edgecmp.storage.checking import disk_errors

__all__ = ["folder_lock", "is_at"]

_HELD: set[int] = set()
"""Descriptors of locked folders. A worker that is forked must not keep them: it may outlive a
process that was killed."""


def _release_in_child() -> None:
    for handle in _HELD:
        os.close(handle)
    _HELD.clear()


os.register_at_fork(after_in_child=_release_in_child)


@contextmanager
def folder_lock(folder: str | Path, what: str, *, named: Path | None = None) -> Iterator[None]:
    """Holds a folder for one process, so that two do not write to it at the same time.

    Args:
        folder: is made if it does not exist, and is gone again if nothing was written to it.
        what: what writes to it, for the error: "training".
        named: the path that the user gave, if that is another one.

    Raises:
        UserError: another process holds the folder, or it cannot be made.
    """
    folder = Path(folder)
    made = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    while True:
        with disk_errors(named or folder):
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise UserError(
                f"Another {what} is writing to {named or folder}.",
                "Wait until it ends, or name another folder with --out.",
            ) from None
        except OSError:
            pass  # a file system without locks
        if is_at(handle, folder):
            break
        os.close(handle)  # the process that held it has removed it
    _HELD.add(handle)
    try:
        yield
    finally:
        with suppress(OSError):  # it is not empty
            for path in made:
                path.rmdir()
        _HELD.discard(handle)
        os.close(handle)


def is_at(handle: int, path: Path) -> bool:
    """Whether an open file or folder still is what the path names."""
    try:
        return os.fstat(handle).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
