"""The files of a Core ML package: the manifest, and the model that it names."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgecmp.errors import UserError
from edgecmp.quiet import quiet_coremltools

__all__ = ["model_path", "package_errors", "read_manifest", "read_model"]


def read_manifest(package: Path) -> dict[str, Any]:
    """The JSON document that lists the package's files."""
    manifest: dict[str, Any] = json.loads((package / "Manifest.json").read_bytes())
    return manifest


def model_path(package: Path) -> Path:
    """The model file (.mlmodel) that the package's manifest names."""
    manifest = read_manifest(package)
    entry = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
    return package / "Data" / str(entry["path"])


def read_model(package: Path) -> Any:
    """The protobuf message `Model` of a package."""
    with quiet_coremltools():
        from coremltools.proto import Model_pb2
    return Model_pb2.Model.FromString(model_path(package).read_bytes())


@contextmanager
def package_errors(package: Path) -> Iterator[None]:
    """Turns what reading a damaged package raises into a `UserError`."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    damage = (OSError, ValueError, LookupError, TypeError, OverflowError, struct.error)
    try:
        yield
    except (*damage, DecodeError) as error:
        raise UserError(
            f"{package} is not a complete Core ML package: {error}.",
            "Copy it again, or write it again with `edgecmp export --target coreml`.",
        ) from error
