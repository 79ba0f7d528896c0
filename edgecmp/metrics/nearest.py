"""TAR@FAR as insightface's IJB scripts read it: where the ROC curve comes nearest to the FAR.

`edgecmp.metrics.verification` takes the best TAR whose FAR is at most the target. The scripts that
most published IJB figures come from take the corner of the curve whose FAR is nearest, on either
side, so they may accept more impostors than asked for. Use this form to compare with them.

The corners are those that scikit-learn's `roc_curve` keeps by default: thresholds are the distinct
scores, and one whose step equals the step after it is left out. Of two corners equally near the
larger FAR counts, and of one FAR the larger TAR.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecmp.errors import UserError
from edgecmp.metrics.exact_search import Embeddings

__all__ = ["tar_nearest"]


def tar_nearest(
    genuine: Embeddings, impostor: Embeddings, *, fars: Sequence[float]
) -> dict[float, float]:
    """TAR@FAR of scored pairs at the corner of the ROC curve nearest to each rate.

    Args:
        genuine: (P,) scores of pairs of one identity; higher is more alike.
        impostor: (M,) scores of pairs of two identities.
        fars: the false accept rates, 0..1.

    Returns:
        False accept rate -> true accept rate in 0..1.

    Raises:
        UserError: no genuine or no impostor pair.
    """
    if not len(genuine) or not len(impostor):
        raise UserError(
            f"There are {len(genuine)} genuine and {len(impostor)} impostor pairs.",
            "TAR@FAR needs both: give pairs of one identity and of two.",
        )
    thresholds = np.unique(np.concatenate([genuine, impostor]))[::-1]  # (C,) falling
    accepted = _at_least(impostor, thresholds)
    found = _at_least(genuine, thresholds)
    corner = np.ones(len(thresholds), bool)
    corner[1:-1] = (np.diff(accepted, 2) != 0) | (np.diff(found, 2) != 0)
    # the curve starts at (0, 0); turned round, the first of equals is the one that counts
    rates = np.append(0, accepted[corner])[::-1] / len(impostor)
    tars = np.append(0, found[corner])[::-1] / len(genuine)
    return {far: float(tars[np.argmin(np.abs(rates - far))]) for far in fars}


def _at_least(
    scores: Embeddings, thresholds: Embeddings
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(C,) how many scores reach each threshold."""
    below = np.searchsorted(np.sort(scores), thresholds, side="left")
    return (len(scores) - below).astype(np.int64)
