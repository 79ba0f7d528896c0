"""Open-set identification, TPIR@FPIR: who is found while few strangers are taken for somebody.

Two forms are in use, and their figures must not be compared with each other:

- `tpir_nist`, of the NIST evaluations: FPIR is the share of searches of people outside the gallery
  that return somebody. This is what papers on compatible training call TNIR@FPIR.
- `tpir_insightface`, of insightface's script for IJB's 1:N lists: both galleries are merged, so
  that no probe is a stranger; the threshold comes from the scores of single impostor pairs, as
  many as the share of the probes, and the mate need not come first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgecmp.errors import UserError
from edgecmp.metrics.exact_search import Embeddings, Labels
from edgecmp.metrics.identification import Searches, score_chunks
from edgecmp.metrics.verification import most_within

__all__ = ["tpir_insightface", "tpir_nist"]


def tpir_nist(searches: Sequence[Searches], *, fpirs: Sequence[float]) -> dict[float, float]:
    """TPIR@FPIR by searches of mated and of non-mated probes, mean over the galleries.

    For each gallery the threshold is the floor(N * FPIR)-th largest of the best scores of its N
    non-mated probes, the largest of them where that is 0. A mated probe counts if its mate comes
    first with a score **above** the threshold.

    Args:
        searches: one for each gallery; every gallery counts the same.
        fpirs: the false positive identification rates, 0..1.

    Returns:
        FPIR -> TPIR in 0..1.

    Raises:
        UserError: a gallery holds no probe's subject, or every probe's.
    """
    rates: dict[float, list[float]] = {fpir: [] for fpir in fpirs}
    for one in searches:
        mated = one.mated
        strangers = np.sort(one.rival[~mated])[::-1]  # (N,) falling
        if not mated.any() or not len(strangers):
            raise UserError(
                f"Of {len(mated)} probes {mated.sum()} are in the gallery.",
                "TPIR@FPIR needs probes of people in each gallery and of people outside of it.",
            )
        first = one.mate[mated & (one.rank == 0)]
        for fpir, shares in rates.items():
            threshold = strangers[max(most_within(fpir, len(strangers)), 1) - 1]
            shares.append(float((first > threshold).sum() / mated.sum()))
    return {fpir: float(np.mean(shares)) for fpir, shares in rates.items()}


def tpir_insightface(
    probes: Embeddings,
    probe_subjects: Labels,
    gallery: Embeddings,
    gallery_subjects: Labels,
    *,
    fpirs: Sequence[float],
) -> dict[float, float]:
    """The share of probes whose mate scores above the ceil(Q * FPIR)-th largest impostor pair.

    Args:
        probes: (Q, D).
        probe_subjects: (Q,) identities.
        gallery: (G, D), both galleries after each other.
        gallery_subjects: (G,) in the same numbering.
        fpirs: what the script calls FAR, above 0.

    Returns:
        FPIR -> share of all probes in 0..1; a probe without a mate is a miss.

    Raises:
        UserError: there are fewer impostor pairs than the largest rate asks for.
        ValueError: a rate is not above 0.
    """
    if min(fpirs) <= 0:
        raise ValueError(f"rates {fpirs}")
    counts = {fpir: math.ceil(len(probes) * fpir) for fpir in fpirs}
    most = max(counts.values())
    highest = np.empty(0, np.float32)  # the `most` largest impostor scores so far
    mate = np.empty(len(probes), np.float32)
    for part, scores, same in score_chunks(probes, probe_subjects, gallery, gallery_subjects):
        mate[part] = np.where(same, scores, -np.inf).max(1)
        floor = highest.min() if len(highest) == most else -np.inf
        kept = np.concatenate([highest, scores[~same & (scores > floor)]])
        highest = np.partition(kept, -most)[-most:] if len(kept) > most else kept
    if len(highest) < most:
        raise UserError(
            f"There are {len(highest)} impostor pairs, and the threshold is the {most}th of them.",
            "Give more gallery templates, or choose a lower FPIR.",
        )
    falling = np.sort(highest)[::-1]
    return {fpir: float((mate > falling[count - 1]).mean()) for fpir, count in counts.items()}
