"""Compressed weights of a Core ML package: int8 per channel, or indices into a palette.

Only weights with more than 2048 values are compressed (coremltools' own threshold), since smaller
ones save nothing. The precision of the arithmetic does not change.
"""

from __future__ import annotations

import heapq
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["COMPRESSIONS", "compress", "palette"]

COMPRESSIONS = ("int8-weights", "palette8", "palette6")
"""Precisions that `compress` knows; the number after "palette" is the number of bits per index.

Four bits are too few: the starter kit loses 2 to 3 points of top-10 accuracy with one palette per
layer, and 0.6 points, at a minimum cosine of 0.87, with one palette per eight channels, which only
iOS 18 supports. The arithmetic is float16: in float32 the minimum cosine of int8 is 0.99967 instead
of 0.99959, for 8 % more bytes.
"""

FLOOR = 1e-4
"""The least mean square that a channel is weighted by, as a share of the median one."""

MAX_ITERATIONS = 300
"""Most iterations of k-means."""


def compress(model: Any, precision: str) -> Any:
    """A copy of a coremltools model with its weights stored in fewer bits.

    Args:
        model: the converted network.
        precision: one of `COMPRESSIONS`.
    """
    from coremltools.optimize import coreml

    if precision == "int8-weights":
        config = coreml.OpLinearQuantizerConfig(
            mode="linear_symmetric", dtype="int8", granularity="per_channel"
        )
        return coreml.linear_quantize_weights(model, coreml.OptimizationConfig(config))
    entries = 2 ** int(precision.removeprefix("palette"))
    by_palette = coreml.OpPalettizerConfig(
        mode="custom", lut_function=lambda values: palette(values, entries)
    )
    return coreml.palettize_weights(model, coreml.OptimizationConfig(by_palette))


def palette(
    values: NDArray[np.floating[Any]], entries: int
) -> tuple[NDArray[np.floating[Any]], NDArray[np.uint8]]:
    """A table of values and, for each weight, the index of the nearest entry.

    K-means in one dimension in which every output channel has the same weight, however small its
    values: once a batch norm is folded in, the scale of a channel does not show its importance. The
    initial clusters come from repeatedly splitting the cluster that gains most, which is near the
    optimum and uses no random numbers, so that the same weights have the same table on every
    machine (coremltools' own k-means needs scikit-learn).

    Args:
        values: weights of any shape, output channels first.
        entries: size of the table.

    Returns:
        The table (entries,), and the indices of the flattened weights.
    """
    numbers, places = np.unique(values.astype(np.float64), return_inverse=True)
    places = places.reshape(-1)
    if len(numbers) <= entries:
        table = np.concatenate((numbers, np.zeros(entries - len(numbers))))
        return table.astype(values.dtype), places.astype(np.uint8)
    weights = np.bincount(places, weights=_importance(values))
    count = np.concatenate(([0.0], np.cumsum(weights)))  # of all numbers below each one
    total = np.concatenate(([0.0], np.cumsum(weights * numbers)))
    edges = _initial_clusters(count, total, entries)
    centres = np.empty(entries)
    for _ in range(MAX_ITERATIONS):
        moved = np.diff(total[edges]) / np.diff(count[edges])
        if np.array_equal(moved, centres):
            break
        centres = moved
        borders = np.searchsorted(numbers, (centres[1:] + centres[:-1]) / 2)
        edges = np.concatenate(([0], borders, [len(numbers)]))
        if not np.diff(edges).all():
            break  # a cluster became empty: keep the centres of the last iteration
    table = centres.astype(values.dtype)
    exact = table.astype(np.float64)
    nearest = np.searchsorted((exact[1:] + exact[:-1]) / 2, numbers)
    return table, nearest[places].astype(np.uint8)


def _importance(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """The weight of each value's squared error (flat): the inverse of its channel's mean square."""
    if values.ndim < 2:
        return np.ones(values.size)
    squares = np.square(values.astype(np.float64)).reshape(len(values), -1).mean(1)
    floor = FLOOR * np.median(squares[squares > 0])
    return np.repeat(1 / np.maximum(squares, floor), values[0].size)


def _initial_clusters(
    count: NDArray[np.float64], total: NDArray[np.float64], clusters: int
) -> NDArray[np.int64]:
    """Borders (clusters + 1,) of clusters of sorted numbers, split one at a time.

    Args:
        count: (N + 1,) running weight of the numbers.
        total: (N + 1,) running weighted sum of the numbers.
        clusters: how many there must be; each split is the one that reduces the error most.
    """

    def best_cut(start: int, end: int) -> tuple[float, int, int, int]:
        """The negated fall of the squared error by a cluster's best split, the split, the cluster.

        A cluster of one number cannot be split, so it comes last.
        """
        if end - start < 2:
            return math.inf, start, start, end
        inner = np.arange(start + 1, end)
        left, right = count[inner] - count[start], count[end] - count[inner]
        left_sum, right_sum = total[inner] - total[start], total[end] - total[inner]
        whole = (total[end] - total[start]) ** 2 / (count[end] - count[start])
        gains = left_sum**2 / left + right_sum**2 / right - whole
        cut = int(np.argmax(gains))
        return -float(gains[cut]), int(inner[cut]), start, end

    heap = [best_cut(0, len(count) - 1)]
    while len(heap) < clusters:
        _, cut, start, end = heapq.heappop(heap)
        heapq.heappush(heap, best_cut(start, cut))
        heapq.heappush(heap, best_cut(cut, end))
    return np.array([*sorted(start for _, _, start, _ in heap), len(count) - 1])
