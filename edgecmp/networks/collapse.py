"""Recognises a network that embeds all images alike, as after a wrong mean and std."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.progress import say

__all__ = ["typical_cosine", "warn_if_collapsed"]

COLLAPSED = 0.999
"""Cosine between different images above which their ranking is mostly rounding."""
SAMPLE = 256
"""Embeddings that are compared with each other."""


def typical_cosine(embeddings: NDArray[Any]) -> float:
    """The median cosine between two of the embeddings (N, D); 0 for fewer than two."""
    if len(embeddings) < 2:
        return 0.0
    rows = np.unique(np.linspace(0, len(embeddings) - 1, SAMPLE).round().astype(np.int64))
    sample = np.asarray(embeddings[rows], np.float64)
    sample /= np.maximum(np.linalg.norm(sample, axis=1, keepdims=True), 1e-30)
    pairs = np.triu_indices(len(sample), k=1)
    return float(np.median((sample @ sample.T)[pairs]))


def warn_if_collapsed(embeddings: NDArray[Any], name: str) -> None:
    """Says so if a network embeds different images almost alike.

    Args:
        embeddings: (N, D), of different images.
        name: of the network.
    """
    cosine = typical_cosine(embeddings)
    if cosine > COLLAPSED:
        say(
            f"Warning: {name} embeds different images almost alike (median cosine {cosine:.5f}), "
            "so that a search finds little. Check that its preprocessing (mean, std, channels) is "
            "that of its training, and that the network was trained."
        )
