"""Top-k accuracy: the share of queries with an image of their identity among the k nearest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgecmp.metrics.exact_search import Cameras, Embeddings, Labels, ranked

__all__ = ["retrieved", "top_k"]


def top_k(
    queries: Embeddings,
    query_ids: Labels,
    gallery: Embeddings,
    gallery_ids: Labels,
    ks: Sequence[int] = (1, 10),
    *,
    cameras: Cameras | None = None,
) -> dict[int, float]:
    """Top-k accuracy for several k.

    Args:
        queries: (Q, D).
        query_ids: (Q,) identity of each query; an identity that is not in the gallery is a miss.
        gallery: (G, D).
        gallery_ids: (G,) identities in the same numbering.
        ks: the values of k.
        cameras: of the queries and the gallery images; None: no gallery image is ignored.

    Returns:
        k -> share of queries in 0..1.

    Raises:
        UserError: the embeddings are not finite.
    """
    _, _, hits = retrieved(queries, query_ids, gallery, gallery_ids, max(ks), cameras=cameras)
    return {k: float(hits[:, :k].any(1).mean()) for k in ks}


def retrieved(
    queries: Embeddings,
    query_ids: Labels,
    gallery: Embeddings,
    gallery_ids: Labels,
    k: int,
    *,
    cameras: Cameras | None = None,
) -> tuple[Embeddings, Labels, NDArray[np.bool_]]:
    """The k most similar gallery images of each query, most similar first.

    Arguments and errors are those of `top_k`. Ignored images are left out, or, if fewer than k
    others are in the gallery, are last and no hits.

    Returns:
        Scores (Q, k), gallery indices (Q, k) and whether each shows the query's identity (Q, k); at
        most G columns.
    """
    query_ids, gallery_ids = np.asarray(query_ids), np.asarray(gallery_ids)
    most = 0 if cameras is None else _most_ignored(query_ids, gallery_ids, cameras)
    scores, indices = ranked(queries, gallery, k + most)
    hits: NDArray[np.bool_] = gallery_ids[indices] == query_ids[:, None]  # (Q, k + most)
    if cameras is None:
        return scores, indices, hits
    ignored = hits & (np.asarray(cameras[1])[indices] == np.asarray(cameras[0])[:, None])
    order = np.argsort(ignored, axis=1, kind="stable")[:, :k]
    return (
        np.take_along_axis(scores, order, 1),
        np.take_along_axis(indices, order, 1),
        np.take_along_axis(hits & ~ignored, order, 1),
    )


def _most_ignored(query_ids: Labels, gallery_ids: Labels, cameras: Cameras) -> int:
    """The largest number of gallery images that are ignored for one query."""
    pairs = Counter(zip(gallery_ids.tolist(), np.asarray(cameras[1]).tolist(), strict=True))
    asked = set(zip(query_ids.tolist(), np.asarray(cameras[0]).tolist(), strict=True))
    return max((pairs[pair] for pair in asked), default=0)
