"""Reads the file of a table of embeddings, whichever kind it is, and names what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError, unknown_choice
from edgecmp.files import read_tensors
from edgecmp.gallery.parquet_table import read_parquet_table
from edgecmp.gallery.table_text import (
    TableContent,
    read_csv_table,
    read_jsonl_table,
    read_key_lines,
)
from edgecmp.numpy_file import read_npy, read_npz

__all__ = ["read_table"]

_WHAT = "a table of embeddings"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kind:
    """One kind of file.

    Attributes:
        read: returns the content of a file with keys, or the embeddings (N, D) of one without.
        content: what the file contains, for errors.
        has_keys: whether the file contains the keys.
    """

    read: Callable[[Path], Any]
    content: str
    has_keys: bool = True


def read_table(path: Path, keys: Path | None) -> TableContent:
    """The content of a table's file.

    Args:
        path: the file.
        keys: the file of the keys, for kinds of files that contain embeddings only.

    Raises:
        UserError: there is no such kind, a file cannot be read, is damaged or contradicts the
            other, or `keys` is missing or has no effect.
    """
    suffix = path.suffix.lower()
    if suffix not in _KINDS:
        raise unknown_choice("kind of table", suffix, _KINDS)
    kind = _KINDS[suffix]
    if kind.has_keys and keys is not None:
        raise UserError(
            f"A {suffix} table contains its keys, so keys = {str(keys)!r} has no effect.",
            "Remove keys from the description.",
        )
    if not kind.has_keys and keys is None:
        raise UserError(
            f"A {suffix} table contains no keys, and the description names no file of keys.",
            'Add a line such as keys = "keys.txt": a file with one key per line.',
        )
    found = _reading(path, kind.content, lambda: kind.read(path))
    if keys is None:
        content: TableContent = found
        return content
    names = _reading(keys, "one key per line, in UTF-8", lambda: _read_keys(keys))
    if len(names) != len(found):
        raise UserError(
            f"{keys} has {len(names):,} keys, but {path} has {len(found):,} embeddings.",
            "Write both again, so that each line is the key of the embedding in the same place.",
        )
    return TableContent(keys=names, embeddings=found)


def _reading(path: Path, content: str, read: Callable[[], Any]) -> Any:
    """What `read` returns; its ValueError becomes a UserError about the file."""
    try:
        return read()
    except ValueError as error:
        wrong = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise UserError(
            f"{path} cannot be read as {_WHAT}: {wrong}.", f"Write it again with {content}."
        ) from error


def _read_npz(path: Path) -> TableContent:
    arrays = read_npz(path, ("keys", "embeddings"), what=_WHAT)
    return TableContent(keys=_strings(arrays["keys"]), embeddings=_matrix(arrays["embeddings"]))


def _read_npy(path: Path) -> NDArray[Any]:
    return _matrix(read_npy(path, what=_WHAT))


def _read_safetensors(path: Path) -> NDArray[Any]:
    tensors = read_tensors(path, what=_WHAT)
    if "embeddings" not in tensors:
        raise ValueError(f"it has no tensor `embeddings` (its tensors: {', '.join(tensors)})")
    found = tensors["embeddings"]
    if not found.dtype.is_floating_point:
        raise _not_floats(str(found.dtype).removeprefix("torch."))
    return _matrix(found.float().numpy())


def _read_keys(path: Path) -> list[str]:
    if path.suffix.lower() == ".npy":
        return _strings(read_npy(path, what="keys of a table of embeddings"))
    return read_key_lines(path)


def _matrix(values: NDArray[Any]) -> NDArray[Any]:
    """The embeddings, if they are floating numbers of shape (N, D)."""
    if values.dtype.kind != "f":
        raise _not_floats(str(values.dtype))
    if values.ndim != 2 or not values.size:
        raise ValueError(f"the embeddings have the shape {values.shape}, not (images, values)")
    return values


def _not_floats(dtype: str) -> ValueError:
    return ValueError(
        f"the embeddings are {dtype}, not floating numbers (quantised ones need their scale and "
        "zero point: store (value - zero point) * scale)"
    )


def _strings(values: NDArray[Any]) -> list[str]:
    """The keys, if they are text of shape (N,)."""
    if values.ndim != 1 or values.dtype.kind not in "US":
        raise ValueError(
            f"the keys are {values.dtype} of shape {values.shape}, not strings of shape (images,)"
        )
    if values.dtype.kind == "S":
        return [key.decode() for key in values.tolist()]
    keys: list[str] = values.astype(np.str_).tolist()
    return keys


_KINDS = {
    ".npz": _Kind(
        read=_read_npz, content="the arrays `keys` (N,) of strings and `embeddings` (N, D)"
    ),
    ".npy": _Kind(read=_read_npy, content="the embeddings (N, D)", has_keys=False),
    ".safetensors": _Kind(
        read=_read_safetensors, content="the tensor `embeddings` (N, D)", has_keys=False
    ),
    ".csv": _Kind(read=read_csv_table, content="one line per image: its key and its numbers"),
    ".tsv": _Kind(read=read_csv_table, content="one line per image: its key and its numbers"),
    ".jsonl": _Kind(
        read=read_jsonl_table,
        content='one line per image: {"image": key, "embedding": [numbers]}',
    ),
    ".parquet": _Kind(
        read=read_parquet_table,
        content="a column `image` of keys and a column `embedding` of lists of numbers",
    ),
}
