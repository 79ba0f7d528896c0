"""Whether a path can be written: asked before the work starts, and told when writing it fails."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgecmp.errors import UserError

__all__ = ["check_writable", "check_writable_folder", "disk_errors"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns an error of the file system while `path` is written into a UserError."""
    try:
        yield
    except OSError as error:
        code = _code(error)
        if code in _FULL:
            raise UserError(
                f"The disk is full: {path} was not written, and an earlier version is unchanged.",
                "Free some space or name another folder with --out, then run the command again.",
            ) from error
        raise UserError(
            f"{path} cannot be written: {os.strerror(code) if code else error}.",
            "Name a path that you are allowed to write to.",
        ) from error
    except ValueError as error:
        if "embedded null" not in str(error):
            raise
        raise UserError(
            f"{str(path)!r} cannot be written: its name contains a NUL character.",
            "Name a path that you are allowed to write to.",
        ) from error


def _code(error: OSError) -> int | None:
    """The number of the system's error; shutil.Error has it in texts of (source, target, text)."""
    found = re.search(r"\[Errno (\d+)\]", str(error)) if isinstance(error, shutil.Error) else None
    return int(found[1]) if found else error.errno


def check_writable(path: str | Path) -> Path:
    """Refuses a file that a command could not write at its end; call it before the work starts.

    Raises:
        UserError: the path is a folder, or its folder can neither be written to nor be made.
    """
    path = Path(path)
    with disk_errors(path):
        found = _mode(path)
        if found is not None and stat.S_ISDIR(found):
            raise UserError(f"{path} is a folder, not a file.", f"Name a file such as {path}/NAME.")
        regular = found is None or stat.S_ISREG(found)
        _check_place(path.parent if regular else path)  # a device is written to, not replaced
    return path


def check_writable_folder(folder: str | Path) -> Path:
    """Refuses a folder that a command could not make or write to, before the work starts.

    Raises:
        UserError: the path is a file, or the folder can neither be written to nor be made.
    """
    folder = Path(folder)
    with disk_errors(folder):
        found = _mode(folder)
        if found is not None and not stat.S_ISDIR(found):
            raise UserError(
                f"{folder} is a file, not a folder.", "Name a folder, which need not exist yet."
            )
        _check_place(folder)
    return folder


def _mode(path: Path) -> int | None:
    """What a path is, as in `stat`; None if there is nothing. Other errors are raised."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _check_place(place: Path) -> None:
    """Raises an OSError unless `place`, or the first folder above it, can be written to."""
    while _mode(place) is None and place != place.parent:
        place = place.parent
    if not os.access(place, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
