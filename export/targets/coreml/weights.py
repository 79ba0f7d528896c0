"""Compressed weights of a Core ML package: int8 by channel, or indices into a palette.

Only weights with more than 2048 values are compressed (coremltools' own threshold): the rest saves
nothing. What is computed with them stays as it was.
"""

from __future__ import annotations

import heapq
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["COMPRESSIONS", "compress", "palette"]

COMPRESSIONS = ("int8-weights", "palette8", "palette6")
"""Precisions that `compress` knows; the number behind "palette" is that of bits an index.

Four bits are too few: the starter kit loses 2 to 3 points of top-10 accuracy with one palette a
layer, and 0.6 points, at a cosine of 0.87, with a palette for every eight channels, which only
iOS 18 has. What is computed around them is float16: in float32 int8's least cosine is 0.99967
instead of 0.99959, for 8 % more bytes.
"""

FLOOR = 1e-4
"""Smallest mean square of a channel, as a share of the median one, that palettes still look at."""

ROUNDS = 300
"""Rounds of k-means after which it ends at the latest."""


def compress(model: Any, precision: str) -> Any:
    """A coremltools model with the weights of another one stored in fewer bits."""
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
    """A table of `entries` numbers and, for each value, the index of the nearest one (flat).

    K-means in one dimension, where each output channel counts alike, however small its values: the
    scale of a channel says nothing about its use once a batch norm is folded in. It starts from
    clusters that are cut in two where that gains most: near the optimum, and nothing is drawn at
    random, so that the same values give the same table everywhere (coremltools' own k-means needs
    scikit-learn).
    """
    numbers, places = np.unique(values.astype(np.float64), return_inverse=True)
    places = places.reshape(-1)
    if len(numbers) <= entries:
        table = np.concatenate((numbers, np.zeros(entries - len(numbers))))
        return table.astype(values.dtype), places.astype(np.uint8)
    weights = np.bincount(places, weights=_importance(values))
    count = np.concatenate(([0.0], np.cumsum(weights)))  # of the numbers below each one
    total = np.concatenate(([0.0], np.cumsum(weights * numbers)))
    edges = _halve(count, total, entries)
    centres = np.empty(entries)
    for _ in range(ROUNDS):
        moved = np.diff(total[edges]) / np.diff(count[edges])
        if np.array_equal(moved, centres):
            break
        centres = moved
        borders = np.searchsorted(numbers, (centres[1:] + centres[:-1]) / 2)
        edges = np.concatenate(([0], borders, [len(numbers)]))
        if not np.diff(edges).all():
            break  # a cluster lost its last number: its centre stays as it was
    table = centres.astype(values.dtype)
    exact = table.astype(np.float64)
    nearest = np.searchsorted((exact[1:] + exact[:-1]) / 2, numbers)
    return table, nearest[places].astype(np.uint8)


def _importance(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """What the squared error of each value weighs (flat): one over its channel's mean square."""
    if values.ndim < 2:
        return np.ones(values.size)
    squares = np.square(values.astype(np.float64)).reshape(len(values), -1).mean(1)
    floor = FLOOR * np.median(squares[squares > 0])
    return np.repeat(1 / np.maximum(squares, floor), values[0].size)


def _halve(
    count: NDArray[np.float64], total: NDArray[np.float64], clusters: int
) -> NDArray[np.int64]:
    """Borders of that many clusters of sorted numbers, by cutting one at a time in two.

    `count` and `total` are the running count and sum; each cut is the best one there is.
    """

    def best_cut(start: int, end: int) -> tuple[float, int, int, int]:
        """How much the squared error falls, negated, by the best cut of a cluster, and the cut."""
        if end - start < 2:
            return math.inf, start, start, end  # never the best
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
