"""Scores of an explicit list of pairs, such as the 15.7 million of IJB-C's 1:1 protocol.

The scores are looked up in the score matrix of a few enrolled templates at a time, so that neither
the complete matrix nor a copy of the embeddings of all pairs is ever in memory.
"""

from __future__ import annotations

import itertools

import numpy as np

from edgecmp.metrics.exact_search import Embeddings, Labels, checked

__all__ = ["pair_scores"]

_ENROLLED_AT_ONCE = 64


def pair_scores(
    enrolled: Embeddings, probes: Embeddings, enrolled_rows: Labels, probe_rows: Labels
) -> Embeddings:
    """The inner product (cosine, for embeddings of unit length) of each pair.

    Args:
        enrolled: (E, D), embedded by the gallery model.
        probes: (T, D), embedded by the query model; may be the same array.
        enrolled_rows: (P,) row of `enrolled` of each pair, in any order; fastest if the pairs of
            a row follow each other.
        probe_rows: (P,) row of `probes` of each pair.

    Returns:
        (P,) float32, in the order of the pairs.

    Raises:
        UserError: the embeddings are not finite.
        ValueError: the embeddings differ in size, or the lists of rows in length.
    """
    enrolled, probes = checked(enrolled), checked(probes)
    if enrolled.shape[1:] != probes.shape[1:] or len(enrolled_rows) != len(probe_rows):
        raise ValueError(
            f"enrolled {enrolled.shape}, probes {probes.shape}, "
            f"{len(enrolled_rows)} and {len(probe_rows)} rows"
        )
    order = np.argsort(enrolled_rows, kind="stable")  # (P,), fast if they are sorted
    ordered = np.asarray(enrolled_rows)[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))  # where another enrolled row begins
    edges = [*starts[::_ENROLLED_AT_ONCE].tolist(), len(order)]
    scores = np.empty(len(order), np.float32)
    for start, end in itertools.pairwise(edges):
        places = order[start:end]
        left, left_at = _present(ordered[start:end], len(enrolled))
        right, right_at = _present(np.asarray(probe_rows)[places], len(probes))
        scores[places] = (enrolled[left] @ probes[right].T)[left_at, right_at]
    return scores


def _present(rows: Labels, count: int) -> tuple[Labels, Labels]:
    """The distinct values of `rows` (n,), all below `count`, and the index of each row in them."""
    used = np.zeros(count, bool)
    used[rows] = True
    return np.flatnonzero(used), (np.cumsum(used) - 1)[rows]
