"""Reads a table of embeddings from a Parquet file, by pyarrow (the extra `parquet`).

The key is the column `image`, `key` or `path`, or the index of a pandas table. The embedding is the
list column `embedding`; without one, every other column is one dimension, in their order.

A damaged file can end pyarrow's process or make it take all memory. So a child process reads the
file first; only if it succeeds is the file read in this process.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp import caged
from edgecmp.errors import UserError
from edgecmp.files import read_bytes
from edgecmp.gallery.table_text import KEY_NAMES, TableContent
from edgecmp.numpy_file import LARGEST_RATIO, SMALL

__all__ = ["read_parquet_table", "try_parquet"]

_EMBEDDING = "embedding"
_PANDAS_INDEX = "__index_level_0__"
_SECONDS = 600
_MEMORY = 2**30
"""Bytes that the child may take besides `_TIMES` the size of the file."""
_TIMES = 16


def read_parquet_table(path: Path) -> TableContent:
    """Reads the keys and embeddings of a Parquet file.

    Raises:
        ValueError: the file is damaged, or its columns are not those of a table of embeddings.
        UserError: the file cannot be opened, ends pyarrow's process, or pyarrow is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise UserError(
            f"{path} is a Parquet file, which needs the package pyarrow.",
            "Install it with `pip install 'edgecmp[parquet]'`.",
        )
    content = read_bytes(path, what="a table of embeddings")
    fault = caged.call(
        f"{__name__}:{try_parquet.__name__}",
        path,
        memory=_MEMORY + _TIMES * len(content),
        seconds=_SECONDS,
    )
    if fault:
        raise ValueError(fault)
    keys, embeddings = _read(content)
    return TableContent(keys=keys, embeddings=embeddings)


def try_parquet(path: Path) -> str:
    """What is wrong with a file; empty if it is a table of embeddings. For the child process."""
    try:
        _read(path.read_bytes())
    except (ValueError, TypeError, LookupError, OSError, ArithmeticError) as error:
        return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return ""


def _read(content: bytes) -> tuple[list[str], NDArray[Any]]:
    """The keys and the embeddings (N, D) in the bytes of a file."""
    import pyarrow
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content))
    names = file.schema_arrow.names
    if len(set(names)) < len(names):
        raise ValueError("two of its columns have the same name")
    key = next((name for name in (*KEY_NAMES, _PANDAS_INDEX) if name in names), None)
    if key is None:
        listed = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
        raise ValueError(f"it has no column `image`, `key` or `path` (its columns: {listed})")
    claimed = _claimed(file.metadata)
    if claimed > max(SMALL, LARGEST_RATIO * len(content)):
        raise ValueError(
            f"its {len(content):,} bytes claim to hold {claimed:,}, too many to be real"
        )
    dimensions = [name for name in names if name not in (key, _PANDAS_INDEX)]
    if not dimensions:
        raise ValueError(f"it has no column but `{key}`")
    wanted = [_EMBEDDING] if _EMBEDDING in names else dimensions
    table = file.read([key, *wanted], use_threads=False)
    if not len(table):
        raise ValueError("it has no row")
    keys = _keys(pyarrow.types, table.column(key), key)
    if _EMBEDDING in names:
        return keys, _lists(pyarrow.types, table.column(_EMBEDDING))
    columns = [_floats(pyarrow.types, table.column(name), name) for name in wanted]
    return keys, np.stack(columns, axis=1)


def _claimed(metadata: Any) -> int:
    """The bytes that the columns unpack to."""
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    columns = (group.column(place) for group in groups for place in range(group.num_columns))
    return sum(max(column.num_values * 4, column.total_uncompressed_size) for column in columns)


def _keys(types: Any, column: Any, name: str) -> list[str]:
    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    if not (types.is_string(kind) or types.is_large_string(kind)):
        raise ValueError(f"its column `{name}` has values of type {column.type}, not strings")
    keys: list[Any] = column.to_pylist()
    if None in keys:
        raise ValueError(f"row {keys.index(None) + 1} has no `{name}`")
    return keys


def _lists(types: Any, column: Any) -> NDArray[Any]:
    """(N, D) of a column of lists."""
    import pyarrow.compute

    kinds = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    if not any(is_kind(column.type) for is_kind in kinds):
        raise ValueError(f"its column `{_EMBEDDING}` has values of type {column.type}, not lists")
    lengths = np.asarray(pyarrow.compute.list_value_length(column).fill_null(0))
    wrong = np.flatnonzero(lengths != lengths[0])
    if len(wrong) or not lengths[0]:
        row = int(wrong[0]) if len(wrong) else 0
        first = f", but row 1 has {lengths[0]}" if row else ""
        raise ValueError(f"row {row + 1} has {lengths[row]} numbers{first}")
    values = _floats(types, pyarrow.compute.list_flatten(column), _EMBEDDING)
    return values.reshape(len(lengths), int(lengths[0]))


def _floats(types: Any, column: Any, name: str) -> NDArray[Any]:
    """The values of a column of floating numbers."""
    if not types.is_floating(column.type):
        raise ValueError(
            f"its column `{name}` has values of type {column.type}, not floating numbers (whole "
            "numbers may be labels, or embeddings that need their scale and zero point)"
        )
    if column.null_count:
        raise ValueError(f"{column.null_count} values of its column `{name}` are missing")
    values: NDArray[Any] = column.to_numpy()
    return values
