"""The inputs of a .tflite file, read from its flatbuffer without a runtime or a package."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["TfliteInput", "tflite_inputs"]

TYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 7: "int16", 9: "int8"}
"""By number in TFLite's schema: the types of tensors that are inputs of networks."""

SUBGRAPHS = 2
TENSORS, INPUTS = 0, 1
SHAPE, TYPE, NAME, SIGNATURE = 0, 1, 3, 7
"""Numbers of the fields of a model, a subgraph and a tensor in TFLite's schema."""


@dataclass(frozen=True, slots=True)
class TfliteInput:
    """An input of a model; an axis that is free is None."""

    name: str
    type: str
    axes: tuple[int | None, ...]


def tflite_inputs(data: bytes) -> list[TfliteInput]:
    """The inputs of the first subgraph.

    Args:
        data: the content of the file.

    Raises:
        ValueError: it is no .tflite file, or it is truncated or damaged.
    """
    if data[4:8] != b"TFL3":
        raise ValueError("not a .tflite file")
    try:
        graph = next(_tables(data, _field(data, _follow(data, 0), SUBGRAPHS)))
        tensors = list(_tables(data, _field(data, graph, TENSORS)))
        return [_input(data, tensors[index]) for index in _integers(data, graph, INPUTS)]
    except (struct.error, IndexError, StopIteration, UnicodeDecodeError) as error:
        raise ValueError("truncated or damaged") from error


def _input(data: bytes, tensor: int) -> TfliteInput:
    place, kind = _field(data, tensor, NAME), _field(data, tensor, TYPE)
    name = b""
    if place is not None:
        start = _follow(data, place)
        name = data[start + 4 : start + 4 + _number(data, start)]
    number = struct.unpack_from("<b", data, kind)[0] if kind is not None else 0
    axes = _integers(data, tensor, SIGNATURE) or _integers(data, tensor, SHAPE)
    return TfliteInput(
        name.decode(),
        TYPES.get(number, f"type {number}"),
        tuple(size if size > 0 else None for size in axes),
    )


def _number(data: bytes, place: int) -> int:
    return int(struct.unpack_from("<I", data, place)[0])


def _follow(data: bytes, place: int) -> int:
    """The place that an offset leads to."""
    return place + _number(data, place)


def _field(data: bytes, table: int, number: int) -> int | None:
    """The place of a field of a table; None if the table does not have it."""
    fields = table - int(struct.unpack_from("<i", data, table)[0])
    size, _ = struct.unpack_from("<HH", data, fields)
    if 4 + 2 * number >= size:
        return None
    offset = int(struct.unpack_from("<H", data, fields + 4 + 2 * number)[0])
    return table + offset if offset else None


def _tables(data: bytes, place: int | None) -> Iterator[int]:
    """The places of the tables in a vector; nothing if there is none."""
    if place is None:
        return
    start = _follow(data, place)
    for index in range(_number(data, start)):
        yield _follow(data, start + 4 + 4 * index)


def _integers(data: bytes, table: int, number: int) -> list[int]:
    """A vector of integers in a field of a table; empty if there is none."""
    place = _field(data, table, number)
    if place is None:
        return []
    start = _follow(data, place)
    return list(struct.unpack_from(f"<{_number(data, start)}i", data, start + 4))
