"""PrefixCache: feature maps of the first layers of subnets, within a bound of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor

__all__ = ["Choices", "PrefixCache"]

Choices = tuple[tuple[int, int], ...]
"""(block, width) of the first layers of a subnet."""


class PrefixCache:
    """Keeps the feature maps that leave a layer, by the choices that led there.

    Maps are kept when their choices come for the second time: of subnets drawn at random one in 40
    shares the first choice with a given other, one in 1,600 the first two, and fresh memory costs
    more than the work that is never asked for again. When the bound is reached the deepest maps go
    first, and of these the ones not asked for the longest.

    Args:
        limit: bytes; 0 keeps nothing.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self._seen: set[Choices] = set()
        self._levels: dict[int, OrderedDict[Choices, tuple[Tensor, ...]]] = {}

    def longest(self, choices: Choices) -> tuple[int, tuple[Tensor, ...] | None]:
        """How many of `choices` are done in what is kept, and the maps after them."""
        for done in range(len(choices), 0, -1):
            level = self._levels.get(done)
            if level and choices[:done] in level:
                for above in range(1, done + 1):
                    if choices[:above] in self._levels.get(above, ()):
                        self._levels[above].move_to_end(choices[:above])
                return done, level[choices[:done]]
        return 0, None

    def keep(self, choices: Choices, maps: Sequence[Tensor]) -> None:
        """Takes maps in, if their choices come again and those worth less leave room for them."""
        if choices not in self._seen:
            self._seen.add(choices)
            return
        size, depth = _size(maps), len(choices)
        spare = sum(
            _size(kept)
            for at, level in self._levels.items()
            for kept in level.values()
            if at >= depth
        )
        if self.bytes + size - spare > self.limit:
            return
        while self.bytes + size > self.limit:
            deepest = max(at for at, level in self._levels.items() if level)
            _, gone = self._levels[deepest].popitem(last=False)
            self.bytes -= _size(gone)
        self._levels.setdefault(depth, OrderedDict())[choices] = tuple(maps)
        self.bytes += size


def _size(maps: Sequence[Tensor]) -> int:
    return sum(x.numel() * x.element_size() for x in maps)
