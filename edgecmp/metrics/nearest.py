"""TAR@FAR as insightface's IJB scripts define it: the ROC corner nearest to the FAR.

`edgecmp.metrics.verification` returns the best TAR whose FAR is at most the target. The scripts
behind most published IJB figures use the corner of the ROC curve whose FAR is nearest to the target
on either side, and so may accept more impostors than the target allows. Use this variant to compare
with those figures.

The corners are those that scikit-learn's `roc_curve` keeps by default: the thresholds are the
distinct scores, without those whose step equals the next step. Of two equally near corners the one
with the larger FAR counts, and of corners with the same FAR the one with the larger TAR.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecmp.metrics.exact_search import Embeddings
from edgecmp.metrics.verification import require_both_kinds

__all__ = ["tar_nearest"]


def tar_nearest(
    genuine: Embeddings, impostor: Embeddings, *, fars: Sequence[float]
) -> dict[float, float]:
    """TAR@FAR of scored pairs at the corner of the ROC curve nearest to each rate.

    Arguments, result and errors are those of `tar_from_scores`.
    """
    require_both_kinds(genuine, impostor)
    thresholds = np.unique(np.concatenate([genuine, impostor]))[::-1]  # (C,) descending
    accepted = _at_least(impostor, thresholds)
    found = _at_least(genuine, thresholds)
    corner = np.ones(len(thresholds), bool)
    corner[1:-1] = (np.diff(accepted, 2) != 0) | (np.diff(found, 2) != 0)
    # The curve starts at (0, 0). In reversed order, argmin finds the corner that counts.
    rates = np.append(0, accepted[corner])[::-1] / len(impostor)
    tars = np.append(0, found[corner])[::-1] / len(genuine)
    return {far: float(tars[np.argmin(np.abs(rates - far))]) for far in fars}


def _at_least(
    scores: Embeddings, thresholds: Embeddings
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(C,) number of scores that reach each threshold."""
    below = np.searchsorted(np.sort(scores), thresholds, side="left")
    return (len(scores) - below).astype(np.int64)
