"""Alignment of a face: its eyes, nose and corners of the mouth go where ArcFace has them.

The similarity transform with the least squared error is Umeyama's ("Least-squares estimation of
transformation parameters between two point patterns", PAMI 1991); the template is that of the
ArcFace models at 112 x 112 pixels, which public IJB-C evaluations use.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["ALIGNED_SIZE", "TEMPLATE", "align", "similarity"]

ALIGNED_SIZE = 112
"""Side of an aligned face in pixels."""

TEMPLATE = np.array(
    [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ]
)
"""(5, 2): x, y of left eye, right eye, nose, left and right corner of the mouth, as pixel indices:
the centre of the first pixel is (0, 0)."""


def similarity(points: NDArray[Any], target: NDArray[Any] = TEMPLATE) -> NDArray[np.float64]:
    """The similarity transforms that bring sets of points nearest to the target.

    Args:
        points: (..., P, 2) x and y, not all in one place.
        target: (P, 2) where they are to go.

    Returns:
        (..., 2, 3): scaled rotation and translation, so that `target` is about
        `points @ M[:, :2].T + M[:, 2]`; never a reflection.
    """
    points = np.asarray(points, np.float64)
    mean, goal = points.mean(-2, keepdims=True), target.mean(0)
    around, towards = points - mean, target - goal  # (..., P, 2), (P, 2)
    covariance = towards.T @ around / len(target)  # (..., 2, 2)
    left, values, right = np.linalg.svd(covariance)
    sign = np.ones_like(values)
    sign[..., -1] = np.sign(np.linalg.det(left) * np.linalg.det(right))
    rotation = (left * sign[..., None, :]) @ right
    spread = (around**2).sum((-2, -1)) / len(target)
    linear = ((values * sign).sum(-1) / spread)[..., None, None] * rotation
    shift = goal[:, None] - linear @ np.swapaxes(mean, -2, -1)  # (..., 2, 1)
    return np.concatenate([linear, shift], axis=-1)


def align(image: Image.Image, transform: NDArray[Any]) -> Image.Image:
    """The aligned face, 112 x 112 pixels, RGB; black where the image has nothing.

    Args:
        image: an upright image of any mode.
        transform: (2, 3), what `similarity` gives for the points on this image.
    """
    linear = np.linalg.inv(transform[:, :2])  # Pillow asks where each new pixel comes from
    shift = -linear @ transform[:, 2]
    # and counts from the corners of the pixels, the points from their centres
    shift += 0.5 - linear.sum(1) * 0.5
    coefficients = np.column_stack([linear, shift]).ravel().tolist()
    return image.convert("RGB").transform(
        (ALIGNED_SIZE, ALIGNED_SIZE),
        Image.Transform.AFFINE,
        coefficients,
        resample=Image.Resampling.BILINEAR,
    )
