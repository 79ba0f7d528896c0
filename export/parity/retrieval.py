"""The retrieval result of queries in a gallery: best images, ranks, and accepted pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgecmp.metrics.exact_search import Cameras
from edgecmp.metrics.retrieval import retrieved
from edgecmp.metrics.verification import most_within

__all__ = ["FAR", "TOP", "Floats", "Integers", "RetrievalResult", "retrieve"]

Floats: TypeAlias = NDArray[np.float32]
Integers: TypeAlias = NDArray[np.int64]

TOP = 10
FAR = 1e-3
CHUNK_SCORES = 2**24
"""Scores in memory at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetrievalResult:
    """Q queries in one gallery.

    Attributes:
        images: (Q, 10) the best gallery images, best first.
        hits: (Q, 10) whether they show the query's identity.
        best: (Q,) the similarity of the first.
        ranks: (Q,) rank of the first image of the query's identity, from 1.
        genuine: (Q,) number of gallery images of its identity that are not ignored.
        accepted: (Q,) how many of these are accepted at FAR=1e-3, over all queries.
    """

    images: Integers
    hits: NDArray[np.bool_]
    best: Floats
    ranks: Integers
    genuine: Integers
    accepted: Integers

    @property
    def top1(self) -> float:
        """Top-1 accuracy in percent."""
        return 100 * float(self.hits[:, 0].mean())

    @property
    def top10(self) -> float:
        """Top-10 accuracy in percent."""
        return 100 * float(self.hits.any(1).mean())

    @property
    def tar(self) -> float:
        """TAR@FAR=1e-3 in percent."""
        return 100 * float(self.accepted.sum() / max(1, self.genuine.sum()))


def retrieve(
    queries: Floats,
    query_ids: Integers,
    gallery: Floats,
    gallery_ids: Integers,
    *,
    cameras: Cameras | None = None,
) -> RetrievalResult:
    """Searches a gallery exactly, with a chunk of the scores in memory at a time.

    The threshold is that of `edgecmp.metrics.tar_at_far`: the highest impostor pair that must be
    rejected.

    Args:
        queries: (Q, D).
        query_ids: (Q,) identities.
        gallery: (G, D).
        gallery_ids: (G,) identities in the same numbering.
        cameras: of the queries and the gallery images: images of the query's identity from its own
            camera are ignored.
    """
    scores, images, hits = retrieved(queries, query_ids, gallery, gallery_ids, TOP, cameras=cameras)
    same_total = sum(int((gallery_ids == identity).sum()) for identity in query_ids)
    impostors = len(queries) * len(gallery) - same_total
    wanted = most_within(FAR, impostors) + 1  # the last of these is the first to be rejected
    highest = np.empty(0, np.float32)
    ranks, genuine = np.empty(len(queries), np.int64), np.empty(len(queries), np.int64)
    genuine_scores: list[Floats] = []
    step = max(1, CHUNK_SCORES // len(gallery))
    for start in range(0, len(queries), step):
        chunk = slice(start, start + step)
        table = queries[chunk] @ gallery.T  # (q, G)
        same = query_ids[chunk, None] == gallery_ids
        counted = same if cameras is None else same & (cameras[0][chunk, None] != cameras[1])
        first = np.where(counted, table, -np.inf).max(1, keepdims=True)
        ranks[chunk] = 1 + ((table > first) & ~same).sum(1)
        genuine[chunk] = counted.sum(1)
        genuine_scores += [row[mask] for row, mask in zip(table, counted, strict=True)]
        highest = np.concatenate((highest, table[~same]))
        if len(highest) > wanted:
            highest = np.partition(highest, len(highest) - wanted)[len(highest) - wanted :]
    rejected = highest.min() if len(highest) == wanted else -np.inf
    return RetrievalResult(
        images=images,
        hits=hits,
        best=scores[:, 0],
        ranks=ranks,
        genuine=genuine,
        accepted=np.array([int((scored > rejected).sum()) for scored in genuine_scores]),
    )
