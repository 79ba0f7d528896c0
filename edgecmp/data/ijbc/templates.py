"""Templates: sets of images of one person that IJB-C's protocols compare as one.

The features of the images of one medium (a photograph, or the frames of one video) are averaged,
the averages of a template's media are summed, and the sum is scaled to unit length. A video of a
hundred frames thus has the same weight as one photograph.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError
from edgecmp.metrics.exact_search import Embeddings, checked

__all__ = ["template_embeddings"]


def template_embeddings(
    features: Embeddings,
    templates: NDArray[Any],
    media: NDArray[Any],
    *,
    ids: NDArray[Any],
    norm: bool = False,
    scores: NDArray[Any] | None = None,
) -> Embeddings:
    """The embedding of each template.

    Args:
        features: (N, D), one row per image.
        templates: (N,) row 0..T-1 of the template of each image; every row occurs.
        media: (N,) medium id of each image.
        ids: (T,) the id of each template, for errors.
        norm: scale each image's feature to unit length first; insightface does not.
        scores: (N,) weights of the images, such as the face detector's scores; None: all 1.

    Returns:
        (T, D) float32, unit length.

    Raises:
        UserError: features are not finite, or those of a template sum to zero.
    """
    features = checked(features)
    weights = _share_of_media(np.asarray(templates), np.asarray(media))  # (N,)
    if norm:
        weights /= np.maximum(np.linalg.norm(features, axis=1), np.finfo(np.float32).tiny)
    if scores is not None:
        weights *= scores
    order = np.argsort(templates, kind="stable")
    edges = np.flatnonzero(np.diff(np.asarray(templates)[order], prepend=-1, append=-1))
    sums = np.empty((len(edges) - 1, features.shape[1]))  # (T, D)
    for row, (start, end) in enumerate(itertools.pairwise(edges.tolist())):
        images = order[start:end]
        sums[row] = weights[images] @ features[images]
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    if not lengths.all():
        raise UserError(
            f"The features of {int((lengths == 0).sum())} templates sum to zero, such as those of "
            f"template {ids[int(np.argmin(lengths))]}.",
            "Set detector_score = false in the description, or correct the scores that are 0.",
        )
    embeddings: Embeddings = (sums / lengths).astype(np.float32)
    return embeddings


def _share_of_media(templates: NDArray[Any], media: NDArray[Any]) -> NDArray[np.float64]:
    """(N,) one over the number of images of the same medium in the same template."""
    _, medium = np.unique(media, return_inverse=True)
    groups = templates.astype(np.int64) * (medium.max() + 1) + medium
    _, group, counts = np.unique(groups, return_inverse=True, return_counts=True)
    shares: NDArray[np.float64] = 1 / counts[group]
    return shares
