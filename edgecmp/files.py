"""Reads and writes artefacts: atomically, with hashes and versions, and never with pickle."""

from __future__ import annotations

import hashlib
import json
import shlex
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecmp.errors import UserError, system_reason
from edgecmp.storage import write_atomic
from edgecmp.version import __version__

if TYPE_CHECKING:
    import torch  # imported inside the functions, so that `edgecmp --help` starts quickly

__all__ = [
    "SEAL",
    "command_line",
    "json_bytes",
    "provenance",
    "read_bytes",
    "read_json",
    "read_tensors",
    "seal",
    "seal_of",
    "sha256_file",
    "sha256_json",
    "sha256_tensors",
    "tensor_bytes",
    "write_atomic",
    "write_json",
    "write_tensors",
]

MOST_JSON_BYTES = 2**30
"""A JSON artefact that is larger is refused before it is read: the largest lists the keys of a
gallery index, 30 to 100 bytes per image."""


def json_bytes(document: Any) -> bytes:
    """The document as indented JSON with a line break at its end."""
    return (json.dumps(document, indent=2) + "\n").encode()


def write_json(path: str | Path, document: Any) -> Path:
    """Writes `document` as indented JSON, atomically."""
    return write_atomic(path, json_bytes(document))


def read_bytes(path: str | Path, *, what: str, limit: int | None = None) -> bytes:
    """The content of a regular file; `what` names it in errors ("an architecture").

    Args:
        path: the file.
        what: what it should be.
        limit: the most bytes that it may have; None: any number.

    Raises:
        UserError: there is no such file, it is a folder, device or pipe, it is too large, or it
            cannot be read.
    """
    path = Path(path)
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UserError(
                f"{path} is {_kind_of(found.st_mode)}, not a file with {what}.",
                f"Name a file that contains {what}.",
            )
        if limit is not None and found.st_size > limit:
            raise UserError(
                f"{path} has {found.st_size:,} bytes, too many for {what}.",
                f"Name a file that contains {what}.",
            )
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, what, error) from error
    except ValueError as error:  # a NUL in the name
        raise UserError(
            f"{str(path)!r} cannot be read as {what}: {error}.", "Check that the path is right."
        ) from error


def _kind_of(mode: int) -> str:
    """What a path is that is not a regular file, in words."""
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a pipe" if stat.S_ISFIFO(mode) else "a device or socket"


def read_json(path: str | Path, *, what: str) -> dict[str, Any]:
    """Reads a JSON object; `what` names it in errors ("an architecture").

    Raises:
        UserError: the file is missing, unreadable, not JSON, nested too deep, or not an object.
    """
    path = Path(path)
    content = read_bytes(path, what=what, limit=MOST_JSON_BYTES)
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except ValueError as error:
        raise UserError(
            f"{path} is not {what}: it is truncated or not JSON ({error}).",
            "Create it again with the command that wrote it.",
        ) from error
    except RecursionError as error:
        raise UserError(
            f"{path} is not {what}: its JSON is nested too deep.",
            f"Name a file that contains {what}.",
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


def tensor_bytes(
    tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> bytes:
    """Named tensors as safetensors."""
    import safetensors.torch

    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    content: bytes = safetensors.torch.save(contiguous, dict(metadata or {}))
    return content


def write_tensors(
    path: str | Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> Path:
    """Writes named tensors as safetensors, atomically."""
    return write_atomic(path, tensor_bytes(tensors, metadata))


def read_tensors(path: str | Path, *, what: str) -> dict[str, torch.Tensor]:
    """Reads a safetensors file; `what` names it in errors ("the weights of a query network").

    Raises:
        UserError: the file is missing, truncated or not safetensors.
    """
    import safetensors.torch

    content = read_bytes(path, what=what)
    try:
        return safetensors.torch.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{path} is not {what}: it is truncated or was changed ({error}).",
            "Copy it again, or create it again with the command that wrote it.",
        ) from error


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits.

    Raises:
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


SEAL = "content_sha256"
"""The field of a sealed JSON document that holds the hash of everything else in it."""


def seal(document: Mapping[str, Any], *related: Any) -> dict[str, Any]:
    """The document with its hash in the field `SEAL`, so that any later change is noticed.

    Args:
        document: JSON values.
        related: further documents that belong to it, such as the architecture of a network.
    """
    return {**document, SEAL: seal_of(document, *related)}


def seal_of(document: Mapping[str, Any], *related: Any) -> str:
    """The hash that `seal` stores: over all fields but `SEAL`, and over the related documents."""
    content = {name: value for name, value in document.items() if name != SEAL}
    return sha256_json([content, *related])


def command_line() -> str:
    """The running command, as a user would type it."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    return shlex.join([name, *sys.argv[1:]])


def provenance() -> dict[str, str]:
    """The versions and the command that made an artefact; stored in every artefact."""
    import torch

    return {"edgecmp": __version__, "torch": torch.__version__, "command": command_line()}
