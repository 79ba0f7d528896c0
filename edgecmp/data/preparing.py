"""Prepares images of large files: by threads, or one by one in a process that is one of several."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from edgecmp.data.image_set import Pixels
from edgecmp.preprocessing import Preprocessing

__all__ = ["prepared_in_parallel"]

_THREADS = min(4, os.cpu_count() or 1)


def prepared_in_parallel(
    count: int, prepare: Callable[[int], Pixels], preprocessing: Preprocessing
) -> Pixels:
    """The images `prepare(0)`, ..., `prepare(count - 1)` as one array: (count, H, W, 3) uint8."""
    prepared = np.empty((count, *preprocessing.shape), np.uint8)

    def fill(place: int) -> None:
        prepared[place] = prepare(place)

    if multiprocessing.parent_process() is not None:  # one of several workers
        for place in range(count):
            fill(place)
        return prepared
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(fill, range(count)):
            pass
    return prepared
