"""Cosines of embeddings in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecmp.export.parity.retrieval import Floats

__all__ = ["row_cosines", "unit"]


def unit(embeddings: Floats) -> NDArray[np.float64]:
    """The embeddings (N, D) scaled to unit length, in float64; zero vectors stay zero."""
    exact = embeddings.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    scaled: NDArray[np.float64] = exact / np.where(lengths > 0, lengths, 1)
    return scaled


def row_cosines(first: Floats, second: Floats) -> NDArray[np.float64]:
    """(N,) cosines of the matching rows of two sets of embeddings (N, D)."""
    cosines: NDArray[np.float64] = (unit(first) * unit(second)).sum(1)
    return cosines
