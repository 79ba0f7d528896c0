"""PrefixCache: a bounded cache of the feature maps after the first layers of subnets."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor

__all__ = ["Choices", "PrefixCache"]

Choices = tuple[tuple[int, int], ...]
"""(block, width) of the first layers of a subnet."""


class PrefixCache:
    """Caches the feature maps after a layer by the choices up to that layer.

    Maps are cached when their choices occur for the second time: two random subnets share the first
    choice with probability 1/40 and the first two with 1/1,600, so most maps are never needed
    again, and allocating memory for them would cost more than computing them. When the bound is
    reached, the maps after the most layers are evicted first, and of these the least recently used.

    Args:
        limit: bound in bytes; 0 disables the cache.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self._seen: set[Choices] = set()
        self._levels: dict[int, OrderedDict[Choices, tuple[Tensor, ...]]] = {}

    def longest(self, choices: Choices) -> tuple[int, tuple[Tensor, ...] | None]:
        """Length of the longest cached prefix of `choices`, and the maps after it (None for 0)."""
        for done in range(len(choices), 0, -1):
            level = self._levels.get(done)
            if level and choices[:done] in level:
                for above in range(1, done + 1):
                    if choices[:above] in self._levels.get(above, ()):
                        self._levels[above].move_to_end(choices[:above])
                return done, level[choices[:done]]
        return 0, None

    def keep(self, choices: Choices, maps: Sequence[Tensor]) -> None:
        """Caches maps if their choices occur again and evicting deeper maps makes enough room."""
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
            _, evicted = self._levels[deepest].popitem(last=False)
            self.bytes -= _size(evicted)
        self._levels.setdefault(depth, OrderedDict())[choices] = tuple(maps)
        self.bytes += size


def _size(maps: Sequence[Tensor]) -> int:
    return sum(x.numel() * x.element_size() for x in maps)
