"""The judgement on one exported file in one runtime: its embeddings and finds against torch's."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.export.parity.retrieval import Finds, Floats, Integers
from edgecmp.metrics.bootstrap import Redraws, interval

__all__ = ["BOUNDS", "Bounds", "Comparison", "compare", "judge", "mean_other_cosine"]

COLLAPSE_MARGIN = 0.01
"""By how much the mean cosine between different identities may exceed torch's."""

LENGTH_TOLERANCE = 0.01
"""How far from 1 the length of an embedding may be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What a file must reach: cosine -1..1, agreement in percent, change in points; None: any."""

    min_cosine: float
    min_top1_agreement: float | None
    max_change_top10: float | None


BOUNDS: dict[str, Bounds] = {
    "fp32": Bounds(min_cosine=0.99999, min_top1_agreement=99.9, max_change_top10=None),
    "fp16": Bounds(min_cosine=0.999, min_top1_agreement=None, max_change_top10=0.1),
    "int8-weights": Bounds(min_cosine=0.995, min_top1_agreement=None, max_change_top10=0.2),
    "int8": Bounds(min_cosine=0.9, min_top1_agreement=None, max_change_top10=0.5),
    "palette8": Bounds(min_cosine=0.995, min_top1_agreement=None, max_change_top10=0.3),
    "palette6": Bounds(min_cosine=0.97, min_top1_agreement=None, max_change_top10=0.5),
}
"""By precision; the acceptance of the exporters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A file against torch over Q queries: cosines in -1..1, the rest in percent or points.

    Attributes:
        min_cosine, p1_cosine, mean_cosine: least, 1st percentile and mean over the queries of the
            cosine between the file's and torch's embedding of the same image.
        top1_agreement: share of queries with the same best gallery image.
        top10_overlap: mean share of the ten best gallery images that both have.
        delta_top1, delta_top10: change of the accuracy, the file's minus torch's.
        delta_top10_low, delta_top10_high: 95 % bootstrap interval of delta_top10 (queries redrawn).
        delta_tar, delta_tar_low, delta_tar_high: the same for TAR@FAR=1e-3.
        collapse: mean cosine between the file's embeddings of different identities.
        collapse_torch: the same for torch.
        length_error: largest distance of an embedding's length from 1.
    """

    min_cosine: float
    p1_cosine: float
    mean_cosine: float
    top1_agreement: float
    top10_overlap: float
    delta_top1: float
    delta_top10: float
    delta_top10_low: float
    delta_top10_high: float
    delta_tar: float
    delta_tar_low: float
    delta_tar_high: float
    collapse: float
    collapse_torch: float
    length_error: float

    def to_dict(self) -> dict[str, Any]:
        """The figures by name."""
        return asdict(self)


def mean_other_cosine(embeddings: Floats, identities: Integers) -> float:
    """Mean cosine over all pairs of embeddings (N, D) whose identities (N,) differ.

    Exact, in O(N D): the sum over all pairs less the sums within the identities.
    """
    unit = _unit(embeddings)
    _, labels, counts = np.unique(identities, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), unit.shape[1]))
    np.add.at(sums, labels, unit)
    pairs = len(labels) ** 2 - int((counts**2).sum())
    if pairs == 0:
        return float("nan")
    total = sums.sum(0)
    return float((total @ total - (sums**2).sum()) / pairs)


def compare(
    embeddings: Floats,
    reference: Floats,
    finds: Finds,
    reference_finds: Finds,
    identities: Integers,
    weights: Redraws,
) -> Comparison:
    """A file's finite embeddings (Q, D) and finds against torch's.

    Args:
        embeddings: the file's.
        reference: torch's.
        finds: what the gallery gives for the file's.
        reference_finds: what it gives for torch's.
        identities: (Q,) of the queries.
        weights: for the intervals.
    """
    cosines = (_unit(embeddings) * _unit(reference)).sum(1)  # (Q,)
    overlap = [
        len(np.intersect1d(mine, theirs)) / len(theirs)
        for mine, theirs in zip(finds.images[:, :10], reference_finds.images[:, :10], strict=True)
    ]
    changes = _changes(finds, reference_finds, 10)
    low, high = interval(weights, 100 * changes)
    accepted = finds.accepted - reference_finds.accepted
    tar_low, tar_high = interval(weights, 100 * accepted, finds.genuine)
    return Comparison(
        min_cosine=float(cosines.min()),
        p1_cosine=float(np.percentile(cosines, 1)),
        mean_cosine=float(cosines.mean()),
        top1_agreement=100 * float((finds.images[:, 0] == reference_finds.images[:, 0]).mean()),
        top10_overlap=100 * float(np.mean(overlap)),
        delta_top1=100 * float(_changes(finds, reference_finds, 1).mean()),
        delta_top10=100 * float(changes.mean()),
        delta_top10_low=low,
        delta_top10_high=high,
        delta_tar=finds.tar - reference_finds.tar,
        delta_tar_low=tar_low,
        delta_tar_high=tar_high,
        collapse=mean_other_cosine(embeddings, identities),
        collapse_torch=mean_other_cosine(reference, identities),
        length_error=float(np.abs(np.linalg.norm(embeddings, axis=1) - 1).max()),
    )


def judge(comparison: Comparison, bounds: Bounds) -> list[str]:
    """What a file fails by, one clause each; none means that it passes."""
    faults = []
    if comparison.min_cosine < bounds.min_cosine:
        faults.append(f"min cosine {comparison.min_cosine:.6f} < {bounds.min_cosine}")
    agreement, change = bounds.min_top1_agreement, bounds.max_change_top10
    if agreement is not None and comparison.top1_agreement < agreement:
        faults.append(f"top-1 agreement {comparison.top1_agreement:.2f} % < {agreement} %")
    if change is not None and abs(comparison.delta_top10) > change:
        faults.append(f"top-10 changes by {comparison.delta_top10:+.2f} points, more than {change}")
    if comparison.collapse > comparison.collapse_torch + COLLAPSE_MARGIN:
        faults.append(
            f"collapsed: different identities have a mean cosine of {comparison.collapse:.3f}, in "
            f"torch {comparison.collapse_torch:.3f}"
        )
    if comparison.length_error > LENGTH_TOLERANCE:
        faults.append(f"embeddings are not of unit length (off by {comparison.length_error:.3f})")
    return faults


def _unit(embeddings: Floats) -> NDArray[np.float64]:
    """The embeddings (N, D) scaled to length one, in float64; zeros stay zeros."""
    exact = embeddings.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    unit: NDArray[np.float64] = exact / np.where(lengths > 0, lengths, 1)
    return unit


def _changes(finds: Finds, reference: Finds, k: int) -> Integers:
    """(Q,): 1 where only the file finds the identity among its k best, -1 where only torch does."""
    mine, theirs = finds.hits[:, :k].any(1), reference.hits[:, :k].any(1)
    changes: Integers = mine.astype(np.int64) - theirs.astype(np.int64)
    return changes
