"""PreparedCache: prepared images in memory, filled in the order of first use up to a bound."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from edgecmp.data.image_set import Integers, Pixels
from edgecmp.preprocessing import Preprocessing

__all__ = ["CACHE_BYTES", "PreparedCache"]

CACHE_BYTES = 512 * 2**20
"""Memory for prepared images; images that do not fit are prepared again each time."""

_WORKERS = min(4, os.cpu_count() or 1)


class PreparedCache:
    """Images by row number as the last used preprocessing prepares them.

    Args:
        cache_bytes: memory for them.
    """

    def __init__(self, cache_bytes: int = CACHE_BYTES) -> None:
        self._cache_bytes = cache_bytes
        self._cached_for = ""
        self._cache: dict[int, Pixels] = {}

    def pixels(
        self, rows: Integers, preprocessing: Preprocessing, prepare: Callable[[int], Pixels]
    ) -> Pixels:
        """The images of `rows` (n,), prepared by several threads: (n, H, W, 3) uint8.

        Args:
            rows: their numbers.
            preprocessing: another one than that of the last call empties the cache.
            prepare: makes the image of a row that is not in the cache, (H, W, 3) uint8.
        """
        if self._cached_for != preprocessing.fingerprint:
            self._cache.clear()
            self._cached_for = preprocessing.fingerprint
        room = self._cache_bytes // math.prod(preprocessing.shape)
        prepared = np.empty((len(rows), *preprocessing.shape), np.uint8)

        def fill(place: int) -> None:
            row = int(rows[place])
            image = self._cache.get(row)
            prepared[place] = prepare(row) if image is None else image

        with ThreadPoolExecutor(_WORKERS) as pool:
            for _ in pool.map(fill, range(len(rows))):
                pass
        for place, row in enumerate(rows.tolist()):
            if len(self._cache) >= room:
                break
            if row not in self._cache:
                self._cache[row] = prepared[place].copy()
        return prepared
