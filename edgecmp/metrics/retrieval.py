"""Top-k accuracy: the share of queries with an image of their identity among the k nearest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecmp.metrics.exact_search import Embeddings, Labels, ranked

__all__ = ["top_k"]


def top_k(
    queries: Embeddings,
    query_ids: Labels,
    gallery: Embeddings,
    gallery_ids: Labels,
    ks: Sequence[int] = (1, 10),
) -> dict[int, float]:
    """Top-k accuracy for several k.

    Args:
        queries: (Q, D).
        query_ids: (Q,) identity of each query; an identity that is not in the gallery is a miss.
        gallery: (G, D).
        gallery_ids: (G,) identities in the same numbering.
        ks: the values of k.

    Returns:
        k -> share of queries in 0..1.

    Raises:
        UserError: the embeddings are not finite.
    """
    _, indices = ranked(queries, gallery, max(ks))
    hits = np.asarray(gallery_ids)[indices] == np.asarray(query_ids)[:, None]  # (Q, k)
    return {k: float(hits[:, :k].any(1).mean()) for k in ks}
