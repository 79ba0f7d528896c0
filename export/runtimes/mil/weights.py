"""Compressed weights of an ML Program: the `constexpr_...` operations, on numpy arrays.

Their arguments and their result are constants, so the runner computes each once, when it reads a
package. Each computes in float32; its caller rounds to the type that the program declares.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.export.runtimes.mil.values import unpack

__all__ = ["DECOMPRESSIONS"]

Floats = NDArray[np.float32]
Array = NDArray[Any]


def affine_dequantize(
    quantized_data: Array, scale: Array, zero_point: Array, axis: Array
) -> Floats:
    """scale * (data - zero point), both scalars or one per index of `axis` (iOS 16)."""
    shape = [1] * quantized_data.ndim
    shape[int(axis)] = -1
    steps = quantized_data.astype(np.float32) - zero_point.astype(np.float32).reshape(shape)
    values: Floats = steps * scale.astype(np.float32).reshape(shape)
    return values


def blockwise_shift_scale(data: Array, scale: Array, offset: Array | None = None) -> Floats:
    """scale * (data - offset), both per block of `data` (iOS 18)."""
    values = data.astype(np.float32)
    if offset is not None:
        values = values - _spread(offset.astype(np.float32), data.shape)
    scaled: Floats = values * _spread(scale.astype(np.float32), data.shape)
    return scaled


def lut_to_dense(
    indices: Array, lut: Array, shape: Array | None = None, vector_axis: Array | None = None
) -> Array:
    """The entries of a table at some indices.

    iOS 16: indices packed into bytes, one table (entries,) and the result's `shape`.
    iOS 18: indices in their own shape, tables (*blocks, entries, values per entry); the values of
    an entry extend along `vector_axis`.
    """
    if shape is not None:
        bits = len(lut).bit_length() - 1
        count = int(np.prod(shape, dtype=np.int64))
        found: Array = lut[unpack(indices, bits, count)].reshape(tuple(shape))
        return found
    entries, size = lut.shape[-2:]
    if indices.size and indices.max() >= entries:
        raise ValueError(f"an index is beyond its table of {entries} entries")
    blocks = np.arange(np.prod(lut.shape[:-2], dtype=np.int64)).reshape(lut.shape[:-2])
    tables = lut.reshape(-1, entries, size)
    values: Array = tables[_spread(blocks, indices.shape), indices]  # (*indices.shape, size)
    if size == 1:
        return values[..., 0]
    if vector_axis is None:
        raise ValueError("a table of vectors needs a vector_axis")
    axis = int(vector_axis) % indices.ndim
    joined = list(indices.shape)
    joined[axis] *= size
    return np.moveaxis(values, -1, axis + 1).reshape(joined)


def cast(source_val: Array, output_dtype: str) -> Floats:
    """A wider floating-point type."""
    return source_val.astype(np.float32)


def _spread(values: Array, shape: tuple[int, ...]) -> Array:
    """`values`, one per block, repeated over the blocks of an array of `shape`."""
    if values.ndim != len(shape) or any(
        whole % blocks for whole, blocks in zip(shape, values.shape, strict=True)
    ):
        raise ValueError(f"an array of {shape} does not divide into blocks of {values.shape}")
    for axis, (whole, blocks) in enumerate(zip(shape, values.shape, strict=True)):
        values = np.repeat(values, whole // blocks, axis)
    return values


DECOMPRESSIONS: dict[str, Callable[..., Array]] = {
    "constexpr_affine_dequantize": affine_dequantize,
    "constexpr_blockwise_shift_scale": blockwise_shift_scale,
    "constexpr_cast": cast,
    "constexpr_lut_to_dense": lut_to_dense,
}
"""Every decompression that the reference runner supports, by its MIL name."""
