"""Reads .npy and .npz files from outside: no more memory than their size warrants, no pickle."""

from __future__ import annotations

import io
import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError
from edgecmp.files import read_bytes

__all__ = ["LARGEST_RATIO", "SMALL", "read_npy", "read_npz"]

LARGEST_RATIO = 100
SMALL = 2**28
"""What unpacks to more than `SMALL` bytes and more than `LARGEST_RATIO` times its size is refused:
embeddings hardly shrink, and keys shrink to a fortieth."""

_LONGEST_HEADER = 2048
_FORMAT: Any = np.lib.format  # its type stubs are incomplete
_HEADERS = {(1, 0): _FORMAT.read_array_header_1_0, (2, 0): _FORMAT.read_array_header_2_0}
_DAMAGED = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy, zipfile and the decompressors raise for files that are damaged or made to be so."""


def read_npy(path: Path, *, what: str) -> NDArray[Any]:
    """The array in a .npy file.

    Args:
        path: the file.
        what: what it should contain, for errors: "embeddings".

    Raises:
        UserError: it cannot be read, is damaged, or contains Python objects.
    """
    content = read_bytes(path, what=what)
    try:
        return _array(content)
    except _DAMAGED as error:
        raise _refused(path, what, error) from error


def read_npz(path: Path, names: Sequence[str], *, what: str) -> dict[str, NDArray[Any]]:
    """The arrays of these names in a .npz file.

    Args:
        path: the file.
        names: of the arrays, such as "keys".
        what: what it should contain, for errors: "a table of embeddings".

    Raises:
        UserError: it cannot be read, is damaged, lacks an array, or contains Python objects.
    """
    content = read_bytes(path, what=what)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            return {name: _array(_member(file, name, len(content))) for name in names}
    except _DAMAGED as error:
        raise _refused(path, what, error) from error


def _member(file: zipfile.ZipFile, name: str, packed: int) -> bytes:
    """The unpacked bytes of one array, if their number is plausible."""
    present = [member.removesuffix(".npy") for member in file.namelist()]
    if name not in present:
        listed = ", ".join(present[:5]) or "none"
        raise ValueError(f"it has no array `{name}` (its arrays: {listed})")
    found = file.getinfo(f"{name}.npy")
    size = min(found.compress_size, packed)
    if found.file_size > max(SMALL, LARGEST_RATIO * size):
        raise ValueError(
            f"`{name}` would unpack to {found.file_size:,} bytes from {size:,}, too many to be real"
        )
    return file.read(found)


def _array(content: bytes) -> NDArray[Any]:
    """The array in the bytes of a .npy file; its size must be the one that the header claims."""
    stream = io.BytesIO(content)
    version = _FORMAT.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"it has version {version[0]}.{version[1]} of the format")
    shape, by_column, dtype = _HEADERS[version](stream, max_header_size=_LONGEST_HEADER)
    if dtype.hasobject:
        raise ValueError("it contains Python objects, which are not read because they run code")
    start, count = stream.tell(), math.prod(shape)
    if min(shape, default=1) < 0 or count * dtype.itemsize != len(content) - start:
        raise ValueError(
            f"its header claims the shape {shape} of {dtype}, but {len(content) - start:,} bytes "
            "follow"
        )
    values = np.frombuffer(content, dtype, count, start)
    return values.reshape(shape, order="F" if by_column else "C")


def _refused(path: Path, what: str, error: BaseException) -> UserError:
    """The error for a file that cannot be read; numpy's reasons may have several lines."""
    reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
    return UserError(
        f"{path} cannot be read as {what}: {reason}.",
        "Write it again with numpy.save or numpy.savez, from arrays of numbers or strings.",
    )
