"""Real images for the writers that depend on the ranges of a network's activations."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError
from edgecmp.progress import say

if TYPE_CHECKING:
    from edgecmp.artefacts.bundle import QueryBundle

__all__ = ["CALIBRATION_IMAGES", "calibration_images", "check_variety"]

CALIBRATION_IMAGES = 512
CALIBRATION_PIXELS = 8_000_000
"""Pixels of all images together: 159 images of 224 x 224 pixels."""

FEW = 32
"""Different images below which the ranges of activations are badly known."""


def calibration_images(
    bundle: QueryBundle, data: str | None = None, *, seed: int = 0
) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Random training images, prepared for the network.

    At most `CALIBRATION_IMAGES` images and `CALIBRATION_PIXELS` pixels. Test images are never used,
    since they must be new to the file when it is evaluated.

    Args:
        bundle: the network; its preprocessing prepares the images.
        data: registry name, folder or manifest; the network's own training data if None.
        seed: of the random choice.

    Returns:
        (N, S, S, 3) uint8, and the entry for the metadata: data, fingerprint, images, seed.

    Raises:
        UserError: the data cannot be read, or the network does not name its training data.
    """
    from edgecmp.data import load_dataset

    name = data or bundle.manifest.data.get("name")
    if name is None:
        raise UserError(
            "This precision needs calibration images, and the network does not name its training "
            "data.",
            "Name images with --data.",
        )
    images = load_dataset(name).train
    affordable = CALIBRATION_PIXELS // bundle.preprocessing.input_size**2
    count = max(1, min(CALIBRATION_IMAGES, affordable, len(images)))
    chosen = np.sort(np.random.default_rng(seed).choice(len(images), count, replace=False))
    about = {"data": name, "fingerprint": images.fingerprint, "images": count, "seed": seed}
    return images.pixels(bundle.preprocessing, chosen), about


def check_variety(images: NDArray[np.uint8], data: str) -> None:
    """Looks whether calibration images differ, since the ranges of activations come from them.

    Args:
        images: (N, S, S, 3).
        data: the name of their data, for messages.

    Raises:
        UserError: they are one image over and over.
    """
    different = len({hashlib.sha256(image.tobytes()).digest() for image in images})
    if different == 1 < len(images):
        raise UserError(
            f"All {len(images)} calibration images from {data} are the same image.",
            "Name different images with --data.",
        )
    if different < FEW:
        number = "only one image" if different == 1 else f"only {different} different images"
        say(
            f"Warning: calibrated on {number} from {data}: with fewer than {FEW}, the ranges of "
            "activations are badly known. Prove the file with `edgecmp parity`."
        )
