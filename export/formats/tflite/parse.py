"""Parsing a TFLite file that may be damaged."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgecmp.errors import UserError
from edgecmp.export.guarded_open import damaged, read_file

__all__ = ["parse_tflite", "tflite_errors"]


def parse_tflite(path: Path) -> Any:
    """The content of a TFLite file, as the schema's `ModelT`.

    Raises:
        UserError: it cannot be read, is of another format, or is truncated or damaged.
    """
    from ai_edge_litert import schema_py_generated as schema

    data = read_file(path)
    if data[4:8] != b"TFL3":
        raise UserError(
            f"{path} is not a TFLite file.",
            "Name another file, or copy this one again.",
        )
    with tflite_errors(path):
        parsed = schema.ModelT.InitFromPackedBuf(data)  # reads every table, so none is cut off
        model = schema.Model.GetRootAs(data, 0)
        buffers = (model.Buffers(index) for index in range(model.BuffersLength()))
        end = max(buffer._tab.Pos + buffer.DataLength() for buffer in buffers)
    if end > len(data):
        raise damaged(path)
    return parsed


@contextmanager
def tflite_errors(path: Path) -> Iterator[None]:
    """Turns what reading a damaged flatbuffer raises into a `UserError`."""
    try:
        yield
    except (LookupError, ValueError, AttributeError, TypeError, struct.error) as error:
        raise damaged(path) from error
    except RecursionError as error:
        raise damaged(path, "its tables are nested too deep") from error
