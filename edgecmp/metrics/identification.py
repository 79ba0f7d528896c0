"""1:N identification: searches each probe in a gallery, and computes closed-set top-k.

Similarity is the inner product; templates of equal score are ranked by their index in the gallery,
as in `edgecmp.metrics.retrieval`. IJB-C has two galleries, and two variants of closed-set top-k are
in use: the galleries are merged into one (insightface), or each is searched separately and the hits
of both are counted over all probes (Keras_insightface). `closed_set` computes the first from one
`Searches` of the merged gallery, and the second from two `Searches`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgecmp.metrics.exact_search import Embeddings, Labels, checked

__all__ = ["Searches", "closed_set", "score_chunks", "search"]

_SCORES_AT_ONCE = 2**22


@dataclass(frozen=True, kw_only=True, slots=True)
class Searches:
    """The results of searching Q probes in one gallery.

    A mate is a template of the probe's subject, a rival is a template of another subject.

    Attributes:
        rank: (Q,) int64, number of templates ranked before the best mate; the size of the gallery
            if there is no mate.
        mate: (Q,) float32, score of the best mate; -inf if there is none.
        rival: (Q,) float32, score of the best rival; -inf if there is none.
    """

    rank: Labels
    mate: Embeddings
    rival: Embeddings

    @property
    def mated(self) -> Labels:
        """(Q,) bool: whether the gallery contains the probe's subject."""
        return self.mate > -np.inf


def score_chunks(
    probes: Embeddings, probe_subjects: Labels, gallery: Embeddings, gallery_subjects: Labels
) -> Iterator[tuple[slice, Embeddings, Labels]]:
    """Scores the probes against the gallery, a chunk of probes at a time.

    Yields:
        The slice of the q probes, their scores (q, G), and whether the subjects are equal (q, G).

    Raises:
        UserError: the embeddings are not finite.
        ValueError: the embeddings of probes and gallery differ in size.
    """
    probes, gallery = checked(probes), checked(gallery)
    if probes.shape[1:] != gallery.shape[1:]:
        raise ValueError(f"probes {probes.shape}, gallery {gallery.shape}")
    probe_subjects, gallery_subjects = np.asarray(probe_subjects), np.asarray(gallery_subjects)
    step = max(1, _SCORES_AT_ONCE // max(1, len(gallery)))
    for start in range(0, len(probes), step):
        part = slice(start, min(start + step, len(probes)))
        same = probe_subjects[part, None] == gallery_subjects  # (q, G)
        yield part, probes[part] @ gallery.T, same


def search(
    probes: Embeddings, probe_subjects: Labels, gallery: Embeddings, gallery_subjects: Labels
) -> Searches:
    """Searches every probe in the gallery.

    Args:
        probes: (Q, D), embedded by the query model.
        probe_subjects: (Q,) subjects.
        gallery: (G, D), embedded by the gallery model.
        gallery_subjects: (G,) subjects in the same numbering.

    Raises:
        UserError: the embeddings are not finite.
        ValueError: the embeddings differ in size, or the gallery is empty.
    """
    if not len(gallery):
        raise ValueError("an empty gallery")
    rank = np.empty(len(probes), np.int64)
    mate = np.empty(len(probes), np.float32)
    rival = np.empty(len(probes), np.float32)
    places = np.arange(len(gallery))
    for part, scores, same in score_chunks(probes, probe_subjects, gallery, gallery_subjects):
        mates = np.where(same, scores, -np.inf)  # (q, G)
        place = mates.argmax(1)[:, None]  # the first of equal scores
        mate[part] = best = mates.max(1)
        rival[part] = np.where(same, -np.inf, scores).max(1)
        level = best[:, None]
        before = (scores > level) | ((scores == level) & (places < place))
        rank[part] = np.where(same.any(1), before.sum(1), len(gallery))
    return Searches(rank=rank, mate=mate, rival=rival)


def closed_set(searches: Sequence[Searches], *, ks: Sequence[int]) -> dict[int, float]:
    """Top-k: the share of all probes whose subject is among the k best templates of a gallery.

    Args:
        searches: one per gallery, of the same probes; the galleries have no subject in common.
        ks: the values of k.

    Returns:
        k -> share of all probes, in 0..1; a probe whose subject is in no gallery is a miss.
    """
    found = {k: [one.mated & (one.rank < k) for one in searches] for k in ks}
    return {k: float(np.any(hits, axis=0).mean()) for k, hits in found.items()}
