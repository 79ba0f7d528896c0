"""Reading a model file: the errors that every format has in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgecmp.errors import UserError
from edgecmp.files import read_bytes

__all__ = ["damaged", "missing_package", "no_metadata", "read_file"]


def read_file(path: Path) -> bytes:
    """The content of a model file.

    Raises:
        UserError: there is no such regular file, or it cannot be read.
    """
    return read_bytes(path, what="a model")


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
    """The error for a file that its format's reader cannot make sense of; `reason` is a detail."""
    detail = f" ({reason})" if str(reason) else ""
    return UserError(
        f"{path} is truncated or damaged{detail}.",
        "Copy it again, or write it again with the tool that made it.",
    )


def no_metadata(path: Path, target: str) -> UserError:
    """The error for a model file of a target's format that edgecmp did not write."""
    return UserError(
        f"{path} contains no edgecmp metadata: `edgecmp export` did not write it, or it was cut "
        "off.",
        f"Write one with `edgecmp export --target {target}`.",
    )
