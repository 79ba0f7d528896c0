"""Face alignment: moves the eyes, the nose and the corners of the mouth to ArcFace's positions.

The least-squares similarity transform is Umeyama's ("Least-squares estimation of transformation
parameters between two point patterns", PAMI 1991). The template is that of the ArcFace models
(https://arxiv.org/abs/1801.07698) at 112 x 112 pixels, which public IJB-C evaluations use.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgecmp.decoding import flat

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
    """The least-squares similarity transforms from sets of points to the target.

    Args:
        points: (..., P, 2) x and y in pixels, not all P equal.
        target: (P, 2) the wanted positions.

    Returns:
        (..., 2, 3): M, a scaled rotation and a translation, such that `target` is approximately
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
    """The aligned face, 112 x 112 pixels, RGB; black outside the image, white where transparent.

    Args:
        image: as `edgecmp.decoding.flat` takes it.
        transform: (2, 3), the result of `similarity` for the points of this image.
    """
    linear = np.linalg.inv(transform[:, :2])  # Pillow maps output to input pixels
    shift = -linear @ transform[:, 2]
    # Pillow's coordinates are those of pixel corners, the points' those of pixel centres
    shift += 0.5 - linear.sum(1) * 0.5
    coefficients = np.column_stack([linear, shift]).ravel().tolist()
    return flat(image).transform(
        (ALIGNED_SIZE, ALIGNED_SIZE),
        Image.Transform.AFFINE,
        coefficients,
        resample=Image.Resampling.BILINEAR,
    )
