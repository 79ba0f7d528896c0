"""Values that must have the same 8-bit scale, and the range that each such scale covers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgecmp.export.quantisation.scheme import Quantisation

__all__ = ["SMALLEST_STEP", "SharedScales", "affine_scale"]

SMALLEST_STEP = 1e-9
"""The finest step of any scale, which values that are always zero get."""


class SharedScales:
    """The scale of each value, in groups of values that share one.

    All groups are joined first; then a group's range covers those of its members.

    Args:
        ranges: (least, largest) of each value, by name.
    """

    def __init__(self, ranges: Mapping[str, tuple[float, float]]) -> None:
        self._parents = {name: name for name in ranges}
        self._low = {name: min(0.0, low) for name, (low, _) in ranges.items()}
        self._high = {name: max(0.0, high) for name, (_, high) in ranges.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._parents

    def join(self, first: str, second: str) -> None:
        """Lets two values share a scale that covers the ranges of both."""
        old, new = self._root(first), self._root(second)
        self._parents[old] = new
        self._low[new] = min(self._low[old], self._low[new])
        self._high[new] = max(self._high[old], self._high[new])

    def step(self, name: str) -> float:
        """The step of a value's scale."""
        root = self._root(name)
        return (self._high[root] - self._low[root]) / 255

    def widen(self, name: str, least_step: float) -> None:
        """Makes the scale of a value at least as coarse as `least_step`."""
        root = self._root(name)
        self._high[root] = max(self._high[root], self._low[root] + 255 * least_step)

    def quantisations(self) -> dict[str, Quantisation]:
        """The quantisation of each value, by name."""
        roots = {name: self._root(name) for name in self._parents}
        return {
            name: affine_scale(self._low[root], self._high[root]) for name, root in roots.items()
        }

    def _root(self, name: str) -> str:
        while self._parents[name] != name:
            name = self._parents[name]
        return name


def affine_scale(low: float, high: float) -> Quantisation:
    """The finest scale of 256 steps from `low` <= 0 to `high` >= 0 that represents zero exactly."""
    scale = np.float32(max(high - low, 255 * SMALLEST_STEP) / 255)
    zero_point = int(np.clip(np.round(-128 - low / scale), -128, 127))
    return Quantisation(scale=np.array([scale], np.float32), zero_point=zero_point)
