"""TAR@FAR: the true accept rate of genuine pairs at a bounded false accept rate of impostors.

Convention: a pair is accepted if its score reaches a threshold. TAR@FAR=f is the largest true
accept rate of all thresholds whose false accept rate is **at most** f, without interpolation: the
largest `tpr` with `fpr <= f` on the full ROC curve. With fewer than 1 / f impostor pairs the
threshold is above all impostor scores.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecmp.errors import UserError
from edgecmp.metrics.exact_search import Cameras, Embeddings, Labels, checked

__all__ = ["most_within", "require_both_kinds", "tar_at_far", "tar_from_scores"]


def tar_at_far(
    queries: Embeddings,
    query_ids: Labels,
    gallery: Embeddings | None = None,
    gallery_ids: Labels | None = None,
    *,
    fars: Sequence[float] = (1e-4, 1e-3, 1e-2),
    cameras: Cameras | None = None,
) -> dict[float, float]:
    """TAR@FAR over all pairs of a query and a gallery image, or over all pairs within one set.

    Args:
        queries: (Q, D).
        query_ids: (Q,) identities.
        gallery: (G, D), embedded by the same model (homogeneous) or by another (heterogeneous);
            None: every pair of two different images of `queries`, each counted once.
        gallery_ids: (G,) identities in the same numbering.
        fars: the false accept rates, 0..1.
        cameras: of the queries and the gallery images: pairs of one identity and one camera are
            ignored; None: all pairs count.

    Returns:
        False accept rate -> true accept rate in 0..1.

    Raises:
        UserError: there is no genuine or no impostor pair, or the embeddings are not finite.
        ValueError: only one of `gallery` and `gallery_ids` is given, or `cameras` without them.
    """
    if (gallery is None) != (gallery_ids is None) or (gallery is None and cameras is not None):
        raise ValueError("gallery and gallery_ids must be given together, and with cameras")
    others = queries if gallery is None else gallery
    scores = checked(queries) @ checked(others).T  # (Q, G)
    other_ids = np.asarray(query_ids if gallery_ids is None else gallery_ids)
    same = np.asarray(query_ids)[:, None] == other_ids  # (Q, G)
    if gallery is None:
        pairs = np.triu_indices(len(queries), k=1)  # without self pairs
        scores, same = scores[pairs], same[pairs]
    genuine = same
    if cameras is not None:
        genuine = same & (np.asarray(cameras[0])[:, None] != np.asarray(cameras[1]))
    return tar_from_scores(scores[genuine], scores[~same], fars=fars)


def tar_from_scores(
    genuine: Embeddings, impostor: Embeddings, *, fars: Sequence[float]
) -> dict[float, float]:
    """TAR@FAR of scored pairs.

    Args:
        genuine: (P,) scores of pairs of one identity; higher means more similar.
        impostor: (M,) scores of pairs of two identities.
        fars: the false accept rates, 0..1.

    Returns:
        False accept rate -> true accept rate in 0..1.

    Raises:
        UserError: there is no genuine or no impostor pair.
    """
    require_both_kinds(genuine, impostor)
    rates = {}
    for far in fars:
        accepted = most_within(far, len(impostor))
        if accepted == len(impostor):
            rates[far] = 1.0
            continue
        place = len(impostor) - 1 - accepted
        rejected = np.partition(impostor, place)[place]  # the highest impostor to be rejected
        rates[far] = float((genuine > rejected).mean())
    return rates


def require_both_kinds(genuine: Embeddings, impostor: Embeddings) -> None:
    """Refuses scores from which no TAR@FAR can be computed.

    Args:
        genuine: (P,) scores of pairs of one identity.
        impostor: (M,) scores of pairs of two identities.

    Raises:
        UserError: there is no genuine or no impostor pair.
    """
    if not len(genuine) or not len(impostor):
        raise UserError(
            f"TAR@FAR cannot be computed from {len(genuine)} genuine and {len(impostor)} impostor "
            "pairs.",
            "Add images so that there are two identities, one of them with two images.",
        )


def most_within(far: float, impostors: int) -> int:
    """The largest number of impostors whose share of all `impostors` is at most `far`."""
    count = min(impostors, int(far * impostors))
    if count < impostors and (count + 1) / impostors <= far:
        return count + 1  # far * impostors was rounded down
    return count - 1 if count and count / impostors > far else count
