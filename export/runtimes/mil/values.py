"""The constants of an ML Program: immediate values, and the records of weight.bin.

A record has a header of 64 bytes (sentinel, type, size, offset of its data, number of unused bits
at its end). It is read here without Apple's reader, so that the two can be compared.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError
from edgecmp.export.formats.coreml.package import part
from edgecmp.files import read_bytes

__all__ = ["FLOAT16", "FLOAT32", "Constants", "Weight", "shape_of", "unpack"]

STRING, FLOAT16, FLOAT32 = 2, 10, 11


@dataclass(frozen=True, kw_only=True, slots=True)
class _Type:
    """How values of a MIL type are stored.

    Attributes:
        name: as in MIL's text form.
        dtype: of the values in memory.
        bits: per value in a file.
        record: the type field of its records in weight.bin; None if there are no such records.
    """

    name: str
    dtype: type[np.generic]
    bits: int
    record: int | None = None


TYPES: dict[int, _Type] = {
    1: _Type(name="bool", dtype=np.bool_, bits=8),
    FLOAT16: _Type(name="fp16", dtype=np.float16, bits=16, record=1),
    FLOAT32: _Type(name="fp32", dtype=np.float32, bits=32, record=2),
    12: _Type(name="fp64", dtype=np.float64, bits=64),
    21: _Type(name="int8", dtype=np.int8, bits=8, record=4),
    22: _Type(name="int16", dtype=np.int16, bits=16, record=6),
    23: _Type(name="int32", dtype=np.int32, bits=32, record=14),
    24: _Type(name="int64", dtype=np.int64, bits=64),
    25: _Type(name="int4", dtype=np.int8, bits=4, record=8),
    31: _Type(name="uint8", dtype=np.uint8, bits=8, record=3),
    32: _Type(name="uint16", dtype=np.uint16, bits=16, record=7),
    33: _Type(name="uint32", dtype=np.uint32, bits=32, record=15),
    35: _Type(name="uint4", dtype=np.uint8, bits=4, record=11),
    36: _Type(name="uint2", dtype=np.uint8, bits=2, record=10),
    37: _Type(name="uint1", dtype=np.uint8, bits=1, record=9),
    38: _Type(name="uint6", dtype=np.uint8, bits=6, record=13),
    39: _Type(name="uint3", dtype=np.uint8, bits=3, record=12),
}
"""Supported types, by their value in MIL's DataType enumeration."""

SENTINEL = 0xDEADBEEF
HEADER = struct.Struct("<IIQQ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Weight:
    """A constant stored in weight.bin.

    Attributes:
        type: "fp16", "int8", "uint6" and so on.
        file: weight.bin.
        offset: of its record there.
        values: in their shape, one element per value, even if a value takes less than a byte.
    """

    type: str
    file: Path
    offset: int
    values: NDArray[np.generic]


class Constants:
    """Reads the constants of a package.

    Args:
        folder: that of its model file.

    Attributes:
        weights: the constants read from weight.bin so far, by name.
    """

    def __init__(self, folder: Path) -> None:
        self.weights: dict[str, Weight] = {}
        self._folder = folder
        self._files: dict[Path, NDArray[np.uint8]] = {}

    def read(self, message: Any, name: str) -> NDArray[np.generic] | str:
        """The value of a constant; one from weight.bin is added to `weights`.

        Args:
            message: the protobuf message of the value.
            name: of the constant.

        Raises:
            ValueError, LookupError, OSError: it is missing, truncated or of another type.
        """
        kind = message.type.tensorType.dataType
        shape = shape_of(message.type)
        if message.WhichOneof("value") == "blobFileValue":
            return self._record(message.blobFileValue, name, _type(kind), shape)
        tensor = message.immediateValue.tensor
        field = tensor.WhichOneof("value")
        if field is None:
            raise ValueError(f"its constant {name!r} has no value")
        values = getattr(tensor, field).values
        if kind == STRING:
            return str(values[0])
        stored = _type(kind)
        if field == "bytes":
            return _decode(np.frombuffer(values, np.uint8), stored, shape)
        return np.array(values, stored.dtype).reshape(shape)

    def _record(
        self, reference: Any, name: str, stored: _Type, shape: tuple[int, ...]
    ) -> NDArray[np.generic]:
        file = part(self._folder, reference.fileName.removeprefix("@model_path/"))
        if file not in self._files:
            try:
                content = read_bytes(file, what="its weights")
            except UserError as error:
                raise ValueError(error.what) from error
            self._files[file] = np.frombuffer(content, np.uint8)
        data, start = self._files[file], reference.offset
        if start + HEADER.size > len(data):
            raise ValueError(f"{file.name} ends before its constant {name!r}")
        sentinel, record, size, offset = HEADER.unpack_from(data.data, start)
        expected = -(-math.prod(shape) * stored.bits // 8)
        if sentinel != SENTINEL or record != stored.record or size != expected:
            raise ValueError(f"{file.name} contains no record of its constant {name!r}")
        if offset + size > len(data):
            raise ValueError(f"{file.name} ends inside its constant {name!r}")
        values = _decode(data[offset : offset + size], stored, shape)
        self.weights[name] = Weight(type=stored.name, file=file, offset=start, values=values)
        return values


def _type(kind: int) -> _Type:
    if kind not in TYPES:
        raise ValueError(f"it contains constants of the unsupported MIL type {kind}")
    return TYPES[kind]


def _decode(data: NDArray[np.uint8], stored: _Type, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """The values that these bytes encode."""
    if stored.bits >= 8:
        return data.view(stored.dtype).reshape(shape)
    values = unpack(data, stored.bits, math.prod(shape)).reshape(shape)
    if stored.dtype is np.uint8:
        return values
    signed = values.astype(np.int8)
    return signed - ((signed >> (stored.bits - 1)) << stored.bits)  # two's complement


def unpack(data: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint8]:
    """The first `count` numbers of `bits` bits each, lowest bits of the first byte first."""
    stream = np.unpackbits(data, bitorder="little")
    if len(stream) < count * bits:
        raise ValueError(f"{len(data)} bytes are too few for {count} numbers of {bits} bits")
    digits = stream[: count * bits].reshape(count, bits)
    return np.packbits(digits, axis=1, bitorder="little")[:, 0]


def shape_of(value_type: Any) -> tuple[int, ...]:
    """The shape that a value's type declares."""
    return tuple(int(axis.constant.size) for axis in value_type.tensorType.dimensions)
