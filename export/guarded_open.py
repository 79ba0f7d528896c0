"""Reading a model file: the errors that every format has in common."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgecmp.errors import UserError

__all__ = ["damaged", "missing_package", "no_metadata", "read_file"]


def read_file(path: Path) -> bytes:
    """The content of a model file.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(f"{path} cannot be read: {reason}.", "Check the path.") from error


@contextmanager
def missing_package(path: Path) -> Iterator[None]:
    """Turns the ImportError of a package that reads the format of `path` into a `UserError`."""
    try:
        yield
    except ImportError as error:
        raise UserError(
            f"Reading {path} needs a package that is not installed ({error}).",
            "Install it with `pip install 'edgecmp[export]'`.",
        ) from error


def damaged(path: Path, reason: object = "") -> UserError:
    """The error for a file that was not completely written or was changed; `reason` is a detail."""
    detail = f" ({reason})" if str(reason) else ""
    return UserError(
        f"{path} is truncated or damaged{detail}.",
        "Copy it again, or write it again with the command that made it.",
    )


def no_metadata(path: Path, target: str) -> UserError:
    """The error for a model file of a target's format that edgecmp did not write."""
    return UserError(
        f"{path} contains no edgecmp metadata: it was not written by `edgecmp export`.",
        f"Write one with `edgecmp export --target {target}`.",
    )
