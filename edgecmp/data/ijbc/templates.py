"""Templates: the images of one person that are compared as one, as IJB-C's protocols have it.

The features of the images of one media (a photograph, or the frames of one video) are averaged, the
media are summed, and the sum is scaled to unit length, so that a video of a hundred frames counts
as much as one photograph.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError
from edgecmp.metrics.retrieval import Embeddings, checked

__all__ = ["template_embeddings"]


def template_embeddings(
    features: Embeddings,
    templates: NDArray[Any],
    media: NDArray[Any],
    *,
    norm: bool = False,
    scores: NDArray[Any] | None = None,
) -> Embeddings:
    """The embedding of each template.

    Args:
        features: (N, D), one image each.
        templates: (N,) row 0..T-1 of the template of each image; every row occurs.
        media: (N,) media ids.
        norm: scale each image's feature to unit length first; insightface keeps its length.
        scores: (N,) weights of the images, such as the face detector's scores; None: all 1.

    Returns:
        (T, D) float32, unit length.

    Raises:
        UserError: features that are not finite, or a template whose features cancel out.
    """
    features = checked(features)
    if norm:
        lengths = np.linalg.norm(features, axis=1, keepdims=True)
        features = features / np.maximum(lengths, np.finfo(np.float32).tiny)
    if scores is not None:
        features = features * np.asarray(scores, np.float32)[:, None]
    order = np.lexsort((media, templates))
    rows, media = np.asarray(templates)[order], np.asarray(media)[order]
    first = np.flatnonzero((np.diff(rows, prepend=-1) != 0) | (np.diff(media, prepend=-1) != 0))
    counts = np.diff(np.append(first, len(rows)))
    means = np.add.reduceat(features[order], first, axis=0, dtype=np.float64)  # (M, D)
    means /= counts[:, None]
    begins = np.flatnonzero(np.diff(rows[first], prepend=-1))
    sums = np.add.reduceat(means, begins, axis=0)  # (T, D)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    if not lengths.all():
        raise UserError(
            f"The features of {int((lengths == 0).sum())} templates add up to nothing, such as "
            f"those of template number {int(np.argmin(lengths)) + 1}.",
            "Leave the detector's scores out, or mend those that are 0.",
        )
    embeddings: Embeddings = (sums / lengths).astype(np.float32)
    return embeddings
