"""A folder for temporary files on this machine, or one sentence if there is no room for it."""

from __future__ import annotations

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
    try:
        with tempfile.TemporaryDirectory(prefix="edgecmp-") as folder:
            yield Path(folder)
    except OSError as error:
        raise unwritable(error) from error


def unwritable(error: OSError) -> UserError:
    """The error for temporary files that cannot be written."""
    place = os.environ.get("TMPDIR") or "/tmp"
    reason = system_reason(error) if error.errno else "there is no space left"  # numpy names none
    return UserError(
        f"Temporary files cannot be written to {place}: {reason}.",
        "Free some space there, or name another folder in the environment variable TMPDIR.",
    )
