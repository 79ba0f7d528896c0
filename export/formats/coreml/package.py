"""The files of a Core ML package: the manifest, and the model that it names."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from edgecmp.errors import UserError
from edgecmp.files import read_bytes, read_json
from edgecmp.quiet import quiet_coremltools

__all__ = ["model_path", "package_errors", "part", "read_manifest", "read_model"]

MOST_MODEL_BYTES = 2**31 - 1
"""Of the model file; protobuf has no larger messages."""


def read_manifest(package: Path) -> dict[str, Any]:
    """The JSON document that lists the package's files.

    Raises:
        ValueError: it cannot be read.
    """
    with _incomplete():
        return read_json(package / "Manifest.json", what="the manifest of a package")


def model_path(package: Path) -> Path:
    """The model file (.mlmodel) that the package's manifest names.

    Raises:
        ValueError: the name leads out of the package.
    """
    manifest = read_manifest(package)
    entry = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
    return part(package / "Data", str(entry["path"]))


def part(folder: Path, name: str) -> Path:
    """A file or folder inside `folder`, without links on the way.

    Raises:
        ValueError: the name is absolute, leads out of the folder, or through a link.
    """
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts or "\0" in name or not inside.parts:
        raise ValueError(f"it names {name!r}, which is not a file inside it")
    place = folder
    for step in inside.parts:
        place /= step
        if place.is_symlink():
            raise ValueError(f"{name!r} in it leads through a link")
    return place


def read_model(package: Path) -> Any:
    """The protobuf message `Model` of a package."""
    with quiet_coremltools():
        from coremltools.proto import Model_pb2
    with _incomplete():
        content = read_bytes(model_path(package), what="its model", limit=MOST_MODEL_BYTES)
    return Model_pb2.Model.FromString(content)


@contextmanager
def _incomplete() -> Iterator[None]:
    """Turns the error for one file of a package into the reason why the package is incomplete."""
    try:
        yield
    except UserError as error:
        raise ValueError(error.what) from error


@contextmanager
def package_errors(package: Path) -> Iterator[None]:
    """Turns what reading a damaged package raises into a `UserError`."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    damage = (OSError, ValueError, LookupError, TypeError, OverflowError, struct.error)
    try:
        yield
    except (*damage, AttributeError, RecursionError, DecodeError) as error:
        reason = f"it has no entry {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{package} is not a complete Core ML package: {reason.rstrip('.')}.",
            "Copy it again, or write it again with the tool that made it.",
        ) from error
