"""A folder for temporary files on this machine, or one sentence if there is no room for it."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgecmp.errors import UserError, system_reason

__all__ = ["temporary_files", "unwritable"]


@contextmanager
def temporary_files() -> Iterator[Path]:
    """A new folder for files that are needed for a while; removed at the end.

    Raises:
        UserError: the system's folder for temporary files cannot be written.
    """
    folder = None
    try:
        with tempfile.TemporaryDirectory(prefix="edgecmp-") as folder:
            yield Path(folder)
    except OSError as error:
        if folder is None or _concerns(error, folder):
            raise unwritable(error) from error
        raise


def _concerns(error: OSError, folder: str) -> bool:
    """Whether an error of what runs with the folder is about the folder."""
    if isinstance(error.filename, str | bytes):
        return os.fsdecode(error.filename).startswith(folder)
    return error.errno in (None, errno.ENOSPC, errno.EDQUOT)  # numpy names neither file nor reason


def unwritable(error: OSError) -> UserError:
    """The error for temporary files that cannot be written."""
    place = os.environ.get("TMPDIR") or "/tmp"
    reason = system_reason(error) if error.errno else "there is no space left"  # numpy names none
    return UserError(
        f"Temporary files cannot be written to {place}: {reason}.",
        "Free some space there, or name another folder in the environment variable TMPDIR.",
    )
