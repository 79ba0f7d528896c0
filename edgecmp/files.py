"""Reads and writes artefacts: atomically, with hashes and versions, and never with pickle."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecmp.errors import UserError, system_reason
from edgecmp.version import __version__

if TYPE_CHECKING:
    import torch  # imported inside the functions, so that `edgecmp --help` starts quickly

__all__ = [
    "command_line",
    "provenance",
    "read_json",
    "read_tensors",
    "sha256_file",
    "sha256_json",
    "sha256_tensors",
    "write_atomic",
    "write_json",
    "write_tensors",
]


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Turns an error of the file system into a UserError."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise UserError(
                f"The disk is full: {path} was not written, and an earlier version is unchanged.",
                "Free some space or name another folder with --out, then run the command again.",
            ) from error
        raise UserError(
            f"{path} cannot be written: {system_reason(error)}.",
            "Name a path that you are allowed to write to.",
        ) from error


def write_atomic(path: str | Path, data: bytes) -> Path:
    """Writes `data` to `path` atomically: a reader sees the old file or the complete new one.

    Raises:
        UserError: the disk is full or the path cannot be written; an old file is unchanged.
    """
    path = Path(path)
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    return path


def write_json(path: str | Path, document: Any) -> Path:
    """Writes `document` as indented JSON, atomically."""
    return write_atomic(path, (json.dumps(document, indent=2) + "\n").encode())


def read_json(path: str | Path, *, what: str) -> dict[str, Any]:
    """Reads a JSON object; `what` names it in errors ("an architecture").

    Raises:
        UserError: the file is missing, unreadable, not JSON, or not an object.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise _unreadable(path, what, error) from error
    except ValueError as error:
        raise UserError(
            f"{path} is not {what}: it is truncated or not JSON ({error}).",
            "Create it again with the command that wrote it.",
        ) from error
    if not isinstance(document, dict):
        raise UserError(
            f"{path} is not {what}: it does not contain a JSON object.",
            f"Name a file that contains {what}.",
        )
    return document


def _unreadable(path: Path, what: str, error: OSError) -> UserError:
    return UserError(
        f"{path} cannot be read as {what}: {system_reason(error)}.",
        "Check that the path is right and that you are allowed to read it.",
    )


def write_tensors(
    path: str | Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> Path:
    """Writes named tensors as safetensors, atomically."""
    import safetensors.torch

    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    return write_atomic(path, safetensors.torch.save(contiguous, dict(metadata or {})))


def read_tensors(path: str | Path, *, what: str) -> dict[str, torch.Tensor]:
    """Reads a safetensors file; `what` names it in errors ("the weights of a query network").

    Raises:
        UserError: the file is missing, truncated or not safetensors.
    """
    import safetensors.torch

    path = Path(path)
    try:
        return safetensors.torch.load(path.read_bytes())
    except OSError as error:
        raise _unreadable(path, what, error) from error
    except safetensors.SafetensorError as error:
        raise UserError(
            f"{path} is not {what}: it is truncated or was changed ({error}).",
            "Copy it again, or create it again with the command that wrote it.",
        ) from error


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def sha256_json(document: Any) -> str:
    """SHA-256 of a JSON document in canonical form (sorted keys, no spaces)."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_tensors(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, types, shapes and values, as 64 hex digits."""
    import numpy as np
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous().cpu()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(np.ascontiguousarray(tensor.reshape(-1).view(torch.uint8).numpy()).tobytes())
    return digest.hexdigest()


def command_line() -> str:
    """The running command, as a user would type it."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    return shlex.join([name, *sys.argv[1:]])


def provenance() -> dict[str, str]:
    """The versions and the command that made an artefact; stored in every artefact."""
    import torch

    return {"edgecmp": __version__, "torch": torch.__version__, "command": command_line()}
