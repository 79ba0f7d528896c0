"""The verdict on one file in one runtime: its embeddings and retrieval result against torch's."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgecmp.export.parity.cosines import row_cosines, unit
from edgecmp.export.parity.retrieval import Floats, Integers, RetrievalResult
from edgecmp.metrics.bootstrap import Resamples, interval

__all__ = [
    "BOUNDS",
    "ENOUGH_QUERIES",
    "Bounds",
    "Comparison",
    "compare",
    "judge",
    "mean_other_cosine",
]

COLLAPSE_MARGIN = 0.01
"""By how much the mean cosine between different identities may exceed torch's."""

COLLAPSED, COLLAPSED_ABOVE = 0.5, 0.1
"""That mean cosine is called collapsed from the first figure on, if it exceeds torch's by more than
the second; below, images are merely more alike than in torch."""

ENOUGH_QUERIES = 1000
"""Of fewer, one can change the top-10 accuracy by more than a bound."""

LENGTH_TOLERANCE = 0.01
"""Largest allowed difference between the length of an embedding and 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What a file must reach.

    Attributes:
        min_cosine: least cosine with torch's embedding, -1..1.
        min_top1_agreement: least share of equal top-1 images, in percent; None: not required.
        max_change_top10: largest change of the top-10 accuracy, in points; None: not required.
    """

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
"""By precision: what the exported files are accepted by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A file against torch over Q queries: cosines in -1..1, the rest in percent or points.

    Attributes:
        min_cosine, p1_cosine, mean_cosine: least, 1st percentile and mean over the queries of the
            cosine between the file's and torch's embedding of the same image.
        top1_agreement: share of queries with the same best gallery image.
        top10_overlap: mean share of the ten best gallery images that both have in common.
        delta_top1, delta_top10: change of the accuracy, the file's minus torch's.
        delta_top10_low, delta_top10_high: 95 % bootstrap interval of delta_top10 over the queries.
        delta_tar, delta_tar_low, delta_tar_high: the same for TAR@FAR=1e-3.
        collapse: mean cosine between the file's embeddings of different identities.
        collapse_torch: the same for torch.
        length_error: largest difference between the length of an embedding and 1.
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
        """The figures, by name."""
        return asdict(self)


def mean_other_cosine(embeddings: Floats, identities: Integers) -> float:
    """Mean cosine over all pairs of embeddings (N, D) whose identities (N,) differ.

    Exact, in O(N D): the sum over all pairs minus the sums within the identities.
    """
    scaled = unit(embeddings)
    _, labels, counts = np.unique(identities, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), scaled.shape[1]))
    np.add.at(sums, labels, scaled)
    pairs = len(labels) ** 2 - int((counts**2).sum())
    if pairs == 0:
        return float("nan")
    total = sums.sum(0)
    return float((total @ total - (sums**2).sum()) / pairs)


def compare(
    embeddings: Floats,
    reference: Floats,
    result: RetrievalResult,
    reference_result: RetrievalResult,
    identities: Integers,
    weights: Resamples,
) -> Comparison:
    """A file's finite embeddings (Q, D) and their retrieval result against torch's.

    Args:
        embeddings: the file's.
        reference: torch's.
        result: of the file's embeddings in the gallery.
        reference_result: of torch's.
        identities: (Q,) of the queries.
        weights: of the bootstrap, for the intervals.
    """
    cosines = row_cosines(embeddings, reference)
    images, reference_images = result.images, reference_result.images
    overlap = [
        len(np.intersect1d(mine, theirs)) / len(theirs)
        for mine, theirs in zip(images[:, :10], reference_images[:, :10], strict=True)
    ]
    changes = _changes(result, reference_result, 10)
    low, high = interval(weights, 100 * changes)
    accepted = result.accepted - reference_result.accepted
    tar_low, tar_high = interval(weights, 100 * accepted, result.genuine)
    return Comparison(
        min_cosine=float(cosines.min()),
        p1_cosine=float(np.percentile(cosines, 1)),
        mean_cosine=float(cosines.mean()),
        top1_agreement=100 * float((images[:, 0] == reference_images[:, 0]).mean()),
        top10_overlap=100 * float(np.mean(overlap)),
        delta_top1=100 * float(_changes(result, reference_result, 1).mean()),
        delta_top10=100 * float(changes.mean()),
        delta_top10_low=low,
        delta_top10_high=high,
        delta_tar=result.tar - reference_result.tar,
        delta_tar_low=tar_low,
        delta_tar_high=tar_high,
        collapse=mean_other_cosine(embeddings, identities),
        collapse_torch=mean_other_cosine(reference, identities),
        length_error=float(np.abs(np.linalg.norm(embeddings, axis=1) - 1).max()),
    )


def judge(comparison: Comparison, bounds: Bounds, *, sample: bool = False) -> list[str]:
    """The bounds that a file fails, one clause each; the list is empty if it passes.

    Args:
        comparison: the file against torch.
        bounds: of its precision.
        sample: only some of the queries were used: the change of the top-10 accuracy fails only if
            its whole interval is beyond the bound, since a few queries can exceed it by chance.
    """
    faults = []
    if comparison.min_cosine < bounds.min_cosine:
        faults.append(f"min cosine {comparison.min_cosine:.6f} < {bounds.min_cosine}")
    agreement, change = bounds.min_top1_agreement, bounds.max_change_top10
    if agreement is not None and comparison.top1_agreement < agreement:
        faults.append(f"top-1 agreement {comparison.top1_agreement:.2f} % < {agreement} %")
    if change is not None and _least_change(comparison, sample=sample) > change:
        faults.append(f"top-10 changes by {comparison.delta_top10:+.2f} points, more than {change}")
    rise = comparison.collapse - comparison.collapse_torch
    if rise > COLLAPSE_MARGIN:
        collapsed = comparison.collapse >= COLLAPSED and rise > COLLAPSED_ABOVE
        faults.append(
            f"{'collapsed: ' if collapsed else ''}different identities have a mean cosine of "
            f"{comparison.collapse:.3f}, in torch {comparison.collapse_torch:.3f}"
        )
    if comparison.length_error > LENGTH_TOLERANCE:
        faults.append(f"embeddings are not of unit length (off by {comparison.length_error:.3f})")
    return faults


def _least_change(comparison: Comparison, *, sample: bool) -> float:
    """The size of the change of the top-10 accuracy, in points; of a sample, the least likely."""
    if not sample:
        return abs(comparison.delta_top10)
    return max(comparison.delta_top10_low, -comparison.delta_top10_high, 0.0)


def _changes(result: RetrievalResult, reference: RetrievalResult, k: int) -> Integers:
    """(Q,): 1 if only the file has the identity in its top k, -1 if only torch has, else 0."""
    hits, reference_hits = result.hits[:, :k].any(1), reference.hits[:, :k].any(1)
    changes: Integers = hits.astype(np.int64) - reference_hits.astype(np.int64)
    return changes
