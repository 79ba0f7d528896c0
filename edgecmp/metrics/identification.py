"""1:N identification: each probe searched in a gallery, and the closed-set top-k of that.

Similarity is the inner product; templates of equal score are ranked by their place in the gallery,
as in `edgecmp.metrics.retrieval`. IJB-C has two galleries, and its closed-set top-k comes in two
forms that differ: both merged into one (insightface), or each searched alone, with the hits of
both counted over all probes (Keras_insightface). `closed_set` gives the one for one `Searches` of
the merged gallery, and the other for two `Searches`.
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
    """What Q probes found in one gallery.

    Attributes:
        rank: (Q,) int64, how many templates come before the probe's best mate: 0 if it comes
            first, the size of the gallery if there is none.
        mate: (Q,) float32, score of the best template of the probe's subject; -inf if none.
        rival: (Q,) float32, score of the best template of any other subject; -inf if none.
    """

    rank: Labels
    mate: Embeddings
    rival: Embeddings

    @property
    def mated(self) -> Labels:
        """(Q,) bool: whether the gallery holds the probe's subject."""
        return self.mate > -np.inf


def score_chunks(
    probes: Embeddings, probe_subjects: Labels, gallery: Embeddings, gallery_subjects: Labels
) -> Iterator[tuple[slice, Embeddings, Labels]]:
    """Some probes at a time: which, their scores (q, G), and where the subjects agree (q, G).

    Raises:
        UserError: embeddings that are not finite.
        ValueError: embeddings of two sizes.
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
        probe_subjects: (Q,) who is on them.
        gallery: (G, D), embedded by the gallery model.
        gallery_subjects: (G,) in the same numbering.

    Raises:
        UserError: embeddings that are not finite.
        ValueError: embeddings of two sizes, or an empty gallery.
    """
    if not len(gallery):
        raise ValueError("an empty gallery")
    rank = np.empty(len(probes), np.int64)
    mate = np.empty(len(probes), np.float32)
    rival = np.empty(len(probes), np.float32)
    places = np.arange(len(gallery))
    for part, scores, same in score_chunks(probes, probe_subjects, gallery, gallery_subjects):
        mates = np.where(same, scores, -np.inf)  # (q, G)
        place = mates.argmax(1)[:, None]  # the first of equal ones
        mate[part] = best = mates.max(1)
        rival[part] = np.where(same, -np.inf, scores).max(1)
        level = best[:, None]
        before = (scores > level) | ((scores == level) & (places < place))
        rank[part] = np.where(same.any(1), before.sum(1), len(gallery))
    return Searches(rank=rank, mate=mate, rival=rival)


def closed_set(searches: Sequence[Searches], *, ks: Sequence[int]) -> dict[int, float]:
    """Top-k: the share of all probes whose subject is among the k best templates of a gallery.

    Args:
        searches: one for each gallery, of the same probes; galleries share no subject.
        ks: the k to report.

    Returns:
        k -> share of all probes, in 0..1; a probe that no gallery holds is a miss.
    """
    found = {k: [one.mated & (one.rank < k) for one in searches] for k in ks}
    return {k: float(np.any(hits, axis=0).mean()) for k, hits in found.items()}
