"""Open-set identification: TPIR, the true positive identification rate, at a given FPIR.

Two variants are in use, and their figures must not be compared with each other:

- `tpir_nist`, of the NIST evaluations: FPIR is the share of searches of people outside the gallery
  that return somebody. Papers on compatible training call this TNIR@FPIR.
- `tpir_insightface`, of insightface's script for IJB's 1:N lists: both galleries are merged, so
  that every probe has a mate; the threshold is a quantile of the scores of impostor pairs, at the
  rank given by FPIR times the number of probes, and the mate need not be ranked first.
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
    """TPIR@FPIR from searches of mated and non-mated probes, averaged over the galleries.

    For each gallery the threshold is the floor(N * FPIR)-th largest of the best scores of its N
    non-mated probes, or the largest if that number is 0. A mated probe counts if its mate is ranked
    first with a score **above** the threshold.

    Args:
        searches: one per gallery; all galleries have the same weight.
        fpirs: the false positive identification rates, 0..1.

    Returns:
        FPIR -> TPIR in 0..1.

    Raises:
        UserError: a gallery contains the subject of no probe, or of every probe.
    """
    rates: dict[float, list[float]] = {fpir: [] for fpir in fpirs}
    for one in searches:
        mated = one.mated
        non_mated = np.sort(one.rival[~mated])[::-1]  # (N,) descending
        if not mated.any() or not len(non_mated):
            raise UserError(
                f"The subjects of {mated.sum()} of {len(mated)} probes are in the gallery.",
                "For TPIR@FPIR, add probes of people in each gallery and of people outside it.",
            )
        first = one.mate[mated & (one.rank == 0)]
        for fpir, shares in rates.items():
            threshold = non_mated[max(most_within(fpir, len(non_mated)), 1) - 1]
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
        gallery: (G, D), both galleries concatenated.
        gallery_subjects: (G,) identities in the same numbering.
        fpirs: the rates that the script calls FAR, above 0.

    Returns:
        FPIR -> share of all probes in 0..1; a probe without a mate is a miss.

    Raises:
        UserError: there are too few impostor pairs for the largest rate.
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
            f"There are {len(highest)} impostor pairs, but the threshold is the score of number "
            f"{most}.",
            "Add gallery templates, or choose a lower FPIR.",
        )
    descending = np.sort(highest)[::-1]
    return {fpir: float((mate > descending[count - 1]).mean()) for fpir, count in counts.items()}
