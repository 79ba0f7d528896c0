"""Weights as 8-bit integers: symmetric, one scale per output channel."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["LIMIT", "SMALL", "quantise_layer", "quantise_weight"]

Array = np.ndarray[Any, Any]
Int8 = np.ndarray[Any, np.dtype[np.int8]]
Int32 = np.ndarray[Any, np.dtype[np.int32]]
Float32 = np.ndarray[Any, np.dtype[np.float32]]

LIMIT = 127
"""Largest magnitude; -128 is not used, as the kernels of the runtimes assume."""

SMALL = 2048
"""Weights of fewer values stay float16: for 10 kB, that raises the minimum cosine of the starter
kit from .9974 to .9998."""

SMALLEST = 1e-12
"""The scale of channels whose weights are all zero."""

BIAS_LIMIT = 2**30
"""Largest magnitude of a bias; the other half of int32's range is for the sum it is added to."""


def quantise_weight(values: Array, axis: int) -> tuple[Int8, Float32]:
    """Integers of the shape of `values`, and their scales (C,), one per index of `axis`."""
    others = tuple(other for other in range(values.ndim) if other != axis)
    scale = np.maximum(np.abs(values).max(others) / LIMIT, SMALLEST).astype(np.float32)
    return _round(values, scale, axis), scale


def quantise_layer(
    values: Array, bias: Array, *, axis: int, incoming: float
) -> tuple[Int8, Int32, Float32]:
    """Weight and bias of a layer that computes in integers.

    Args:
        values: the weight.
        bias: (C,).
        axis: of the output channels in `values`.
        incoming: the scale of the layer's input.

    Returns:
        The weight's integers, the bias (C,) in units of weight scale times incoming scale, and the
        weight's scales (C,).
    """
    _, scale = quantise_weight(values, axis)
    # with very small weights and a large bias, a coarser scale keeps the bias within int32
    scale = np.maximum(scale, np.abs(bias) / (incoming * BIAS_LIMIT)).astype(np.float32)
    whole = np.round(bias.astype(np.float64) / (scale.astype(np.float64) * incoming))
    return _round(values, scale, axis), whole.astype(np.int32), scale


def _round(values: Array, scale: Float32, axis: int) -> Int8:
    shape = [1] * values.ndim
    shape[axis] = -1
    rounded: Int8 = np.round(values / scale.reshape(shape)).clip(-LIMIT, LIMIT).astype(np.int8)
    return rounded
