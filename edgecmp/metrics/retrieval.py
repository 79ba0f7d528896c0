"""Top-k accuracy: the share of queries with an image of their identity among the k nearest.

Similarity is the inner product (cosine, for embeddings of unit length) and the search is exact.
Gallery images of equal score are ranked by their place in the gallery, so a result never depends
on how the work was cut into pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from edgecmp.errors import UserError

__all__ = ["Embeddings", "Labels", "checked", "ranked", "top_k"]

Embeddings: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Labels: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_SCORES_AT_ONCE = 2**24


def checked(embeddings: Embeddings) -> Embeddings:
    """The embeddings (N, D) as contiguous float32.

    Raises:
        UserError: a value is NaN or infinite: such a network would rank at random.
    """
    values = np.require(embeddings, np.float32, ["C", "W"])
    if not np.isfinite(values).all():
        rows = int((~np.isfinite(values)).any(1).sum())
        raise UserError(
            f"{rows} of {len(values)} embeddings hold values that are not finite.",
            "The network or the exported file is broken: train or export it again.",
        )
    return values


def ranked(queries: Embeddings, gallery: Embeddings, k: int) -> tuple[Embeddings, Labels]:
    """The k nearest gallery images of each query, nearest first.

    Args:
        queries: (Q, D).
        gallery: (G, D).
        k: how many; at most G are given.

    Returns:
        Scores (Q, k) float32 and gallery indices (Q, k) int64.

    Raises:
        UserError: embeddings that are not finite.
        ValueError: k below 1, or embeddings of two sizes.
    """
    queries, gallery = checked(queries), checked(gallery)
    if k < 1 or queries.shape[1:] != gallery.shape[1:]:
        raise ValueError(f"k {k}, queries {queries.shape}, gallery {gallery.shape}")
    k = min(k, len(gallery))
    scores = np.empty((len(queries), k), np.float32)
    indices = np.empty((len(queries), k), np.int64)
    across = torch.from_numpy(gallery).T  # (D, G)
    step = max(1, _SCORES_AT_ONCE // max(1, len(gallery)))
    for start in range(0, len(queries), step):
        chunk = torch.from_numpy(queries[start : start + step]) @ across  # (q, G)
        part = slice(start, start + len(chunk))
        scores[part], indices[part] = _nearest(chunk, k)
    return scores, indices


def _nearest(scores: torch.Tensor, k: int) -> tuple[Embeddings, Labels]:
    """The k largest of each row (q, G), equal ones by their place."""
    values, places = torch.topk(scores, k, dim=1)  # equal scores come in any order
    last = values[:, -1:]
    crowded = torch.nonzero((scores >= last).sum(1) > k).flatten().tolist()
    for row in crowded:  # several images tie for the last place: the first of them take it
        places[row] = torch.argsort(scores[row], descending=True, stable=True)[:k]
    by_place = torch.sort(places, dim=1).values
    by_score = torch.argsort(scores.gather(1, by_place), dim=1, descending=True, stable=True)
    places = by_place.gather(1, by_score)
    return scores.gather(1, places).numpy(), places.numpy()


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
        query_ids: (Q,) identity of each query; one that the gallery lacks is a miss.
        gallery: (G, D).
        gallery_ids: (G,) identities in the same numbering.
        ks: the k to report.

    Returns:
        k -> share of queries in 0..1.

    Raises:
        UserError: embeddings that are not finite.
    """
    _, indices = ranked(queries, gallery, max(ks))
    hits = np.asarray(gallery_ids)[indices] == np.asarray(query_ids)[:, None]  # (Q, k)
    return {k: float(hits[:, :k].any(1).mean()) for k in ks}
