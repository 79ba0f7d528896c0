"""Simple, slow implementations of the metrics of `edgecmp.benchmarks.studies.ijbc_size`.

They use scikit-learn's `roc_curve` on all pairs, numpy loops over the templates, and loops over the
probes that sort the whole gallery for each.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.benchmarks.studies.ijbc_drawn import World
from edgecmp.data.ijbc import Pairs, Protocols
from edgecmp.errors import UserError
from edgecmp.evaluation.ijbc import FARS, FPIRS, KS
from edgecmp.metrics.exact_search import Embeddings

__all__ = [
    "identified_by_sorting",
    "scores_by_gathering",
    "tars_by_roc_curve",
    "templates_by_loops",
]

PAIRS_AT_ONCE = 100_000


def templates_by_loops(world: World, features: Embeddings) -> NDArray[np.float64]:
    """Each template separately: the mean per medium, their sum, scaled to unit length."""
    order = np.argsort(world.rows, kind="stable")
    count = int(world.rows.max()) + 1
    edges = np.searchsorted(world.rows[order], np.arange(count + 1))
    found = np.empty((count, features.shape[1]))
    for template in range(count):
        places = order[edges[template] : edges[template + 1]]
        weighted = features[places].astype(np.float64) * world.scores[places, None]
        media = world.media[places]
        total = np.zeros(features.shape[1])
        for medium in set(media.tolist()):
            total += weighted[media == medium].mean(0)
        found[template] = total / math.sqrt(float((total**2).sum()))
    return found


def scores_by_gathering(enrolled: Embeddings, probes: Embeddings, pairs: Pairs) -> Embeddings:
    """The scores of pairs, from copies of both embeddings of each pair, chunk by chunk."""
    scores = np.empty(len(pairs.genuine), np.float32)
    for start in range(0, len(scores), PAIRS_AT_ONCE):
        chunk = slice(start, start + PAIRS_AT_ONCE)
        left, right = enrolled[pairs.enrolled[chunk]], probes[pairs.probes[chunk]]
        scores[chunk] = np.sum(left * right, axis=1)
    return scores


def tars_by_roc_curve(
    scores: Embeddings, genuine: NDArray[np.bool_], *, nearest: bool
) -> dict[str, float]:
    """Every TAR@FAR, from the ROC curve of all pairs.

    Raises:
        UserError: scikit-learn is not installed.
    """
    try:
        from sklearn.metrics import roc_curve
    except ImportError as error:
        raise UserError(
            "scikit-learn is not installed.", "Run pip install 'edgecmp[dev]'."
        ) from error
    fpr, tpr, _ = roc_curve(genuine, scores, drop_intermediate=nearest)
    if nearest:
        gaps = {name: np.abs(fpr[::-1] - far) for name, far in FARS.items()}
        return {f"tar_far{name}": float(tpr[::-1][gap.argmin()]) for name, gap in gaps.items()}
    return {f"tar_far{name}": float(tpr[fpr <= far].max()) for name, far in FARS.items()}


def identified_by_sorting(
    enrolled: Embeddings, probes: Embeddings, lists: Protocols
) -> tuple[dict[str, float], dict[str, float]]:
    """Every figure of the 1:N protocols; and TPIR@FPIR in insightface's form."""
    asked, subjects = probes[lists.probes.rows], lists.probes.subjects
    rows = np.append(lists.g1.rows, lists.g2.rows)
    owners = np.append(lists.g1.subjects, lists.g2.subjects)
    merged = _Sorted(asked, subjects, enrolled[rows], owners)
    each = [
        _Sorted(asked, subjects, enrolled[roster.rows], roster.subjects)
        for roster in (lists.g1, lists.g2)
    ]
    shares: dict[str, float] = {}
    for k in KS:
        shares[f"top{k}"] = sum(rank < k for rank in merged.ranks) / len(asked)
        shares[f"top{k}_each"] = sum(rank < k for one in each for rank in one.ranks) / len(asked)
    other = {}
    falling = np.sort(np.concatenate(merged.impostors))[::-1]
    for name, fpir in FPIRS.items():
        found = [one.found_above(one.stranger_limit(fpir)) for one in each]
        shares[f"tpir_fpir{name}"] = sum(found) / len(found)
        limit = falling[math.ceil(len(asked) * fpir) - 1]
        other[f"tpir_fpir{name}"] = sum(mate > limit for mate in merged.mates) / len(asked)
    return shares, other


class _Sorted:
    """The whole gallery, sorted for one probe after the other."""

    def __init__(
        self, probes: Embeddings, subjects: NDArray[Any], gallery: Embeddings, owners: NDArray[Any]
    ) -> None:
        self.ranks: list[float] = []
        self.mates: list[float] = []
        self.impostors: list[Embeddings] = []
        self.strangers: list[float] = []
        for probe, subject in zip(probes, subjects, strict=True):
            scores = gallery @ probe
            order = np.argsort(-scores, kind="stable")
            where = np.flatnonzero(owners[order] == subject)
            falling = scores[order]
            self.ranks.append(int(where[0]) if len(where) else math.inf)
            self.mates.append(float(falling[where[0]]) if len(where) else -math.inf)
            self.impostors.append(np.delete(falling, where))
            if not len(where):
                self.strangers.append(float(falling[0]))

    def stranger_limit(self, fpir: float) -> float:
        falling = sorted(self.strangers, reverse=True)
        return falling[max(int(len(falling) * fpir), 1) - 1]

    def found_above(self, limit: float) -> float:
        mated = len(self.ranks) - len(self.strangers)
        both = zip(self.ranks, self.mates, strict=True)
        return sum(rank == 0 and mate > limit for rank, mate in both) / mated
