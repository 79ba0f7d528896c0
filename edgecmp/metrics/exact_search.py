"""Exact search by inner product; all rankings of gallery images for a query come from here."""

from __future__ import annotations

from typing import Any, TypeAlias

import faiss
import numpy as np

from edgecmp.errors import UserError

__all__ = ["Cameras", "Embeddings", "ExactSearch", "Labels", "checked", "ranked"]

Embeddings: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
"""(N, D) float32, one embedding per row."""

Labels: TypeAlias = np.ndarray[Any, np.dtype[Any]]
"""(N,) identities as integers, or (N, k) indices of images."""

Cameras: TypeAlias = tuple[Labels, Labels]
"""The cameras of Q queries (Q,) and of G gallery images (G,) as integers.

For a query, the gallery images of its identity from its own camera are ignored (Market-1501)."""


def checked(embeddings: Embeddings) -> Embeddings:
    """The embeddings (N, D) as contiguous float32.

    Raises:
        UserError: a value is NaN or infinite, which would make the ranking meaningless.
    """
    values = np.require(embeddings, np.float32, ["C", "W"])
    if not np.isfinite(values).all():
        rows = int((~np.isfinite(values)).any(1).sum())
        raise UserError(
            f"{rows} of {len(values)} embeddings contain NaN or infinite values.",
            "Train or export the network again: it or its exported file is damaged.",
        )
    return values


class ExactSearch:
    """Finds the most similar of G embeddings with faiss's flat index.

    Similarity is the inner product, which is the cosine for embeddings of unit length. Gallery
    images of equal score are ranked by their index, so that a result does not depend on the order
    in which faiss returns them.

    Args:
        gallery: (G, D).

    Raises:
        UserError: the embeddings are not finite.
    """

    def __init__(self, gallery: Embeddings) -> None:
        self._index = faiss.IndexFlatIP(gallery.shape[1])
        self._index.add(checked(gallery))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(self, queries: Embeddings, k: int) -> tuple[Embeddings, Labels]:
        """The k most similar gallery images of each query, most similar first.

        Args:
            queries: (Q, D).
            k: how many; at most G are returned.

        Returns:
            Scores (Q, k) float32 and gallery indices (Q, k) int64.

        Raises:
            UserError: the embeddings are not finite.
            ValueError: k is below 1, or the embeddings have another size.
        """
        queries = checked(queries)
        if k < 1 or queries.shape[1:] != (self._index.d,):
            raise ValueError(f"k {k}, queries {queries.shape}, gallery of {self._index.d} values")
        k = min(k, len(self))
        scores, places = self._sorted(queries, min(k + 1, len(self)))
        if k < len(
            self
        ):  # several images tie for the last rank: those with the lowest index get it
            tied = np.flatnonzero(scores[:, k - 1] == scores[:, k])
            if len(tied):
                all_scores, all_places = self._sorted(queries[tied], len(self))
                scores[tied, :k], places[tied, :k] = all_scores[:, :k], all_places[:, :k]
        return scores[:, :k], places[:, :k]

    def _sorted(self, queries: Embeddings, k: int) -> tuple[Embeddings, Labels]:
        """faiss's k nearest, equal scores sorted by index."""
        scores, places = self._index.search(queries, k)
        order = np.lexsort((places, -scores), axis=1)
        return np.take_along_axis(scores, order, 1), np.take_along_axis(places, order, 1)


def ranked(queries: Embeddings, gallery: Embeddings, k: int) -> tuple[Embeddings, Labels]:
    """`ExactSearch.search` of queries (Q, D) in a gallery (G, D) that is searched only once."""
    return ExactSearch(gallery).search(queries, k)
