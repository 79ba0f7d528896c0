"""Compressed weights of a Core ML package: int8 by channel, or indices into a palette.

Only weights with more than 2048 values are compressed (coremltools' own threshold): the rest saves
nothing. What is computed with them stays as it was.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["COMPRESSIONS", "compress", "palette"]

COMPRESSIONS = ("int8-weights", "palette8", "palette6", "palette4")
"""Precisions that `compress` knows; the number behind "palette" is that of bits an index."""

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

    K-means in one dimension, from evenly spaced quantiles: the same values give the same table on
    every machine, and nothing is drawn at random (coremltools' own needs scikit-learn).
    """
    numbers, places, counts = np.unique(
        values.astype(np.float64), return_inverse=True, return_counts=True
    )
    if len(numbers) <= entries:
        table = np.concatenate((numbers, np.zeros(entries - len(numbers))))
        return table.astype(values.dtype), places.reshape(-1).astype(np.uint8)
    count = np.concatenate(([0], np.cumsum(counts)))  # of the numbers below each one
    total = np.concatenate(([0.0], np.cumsum(counts * numbers)))
    quantiles = (np.arange(entries) + 0.5) / entries * count[-1]
    centres = numbers[np.searchsorted(count[1:], quantiles, side="right")]
    for _ in range(ROUNDS):
        edges = np.searchsorted(numbers, (centres[1:] + centres[:-1]) / 2)
        edges = np.concatenate(([0], edges, [len(numbers)]))
        members = count[edges[1:]] - count[edges[:-1]]
        sums = total[edges[1:]] - total[edges[:-1]]
        moved = np.where(members > 0, sums / np.maximum(members, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    table = centres.astype(values.dtype)
    nearest = np.searchsorted((table[1:] / 2 + table[:-1] / 2).astype(np.float64), numbers)
    return table, nearest[places.reshape(-1)].astype(np.uint8)
