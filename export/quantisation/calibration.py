"""Real images for the writers that must see what a network's activations look like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError

if TYPE_CHECKING:
    from edgecmp.artefacts.bundle import QueryBundle

__all__ = ["CALIBRATION_IMAGES", "calibration_images"]

CALIBRATION_IMAGES = 512
CALIBRATION_PIXELS = 8_000_000
"""Pixels of all images: large ones are fewer, 159 of 224 pixels a side."""


def calibration_images(
    bundle: QueryBundle, data: str | None = None, *, seed: int = 0
) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Up to `CALIBRATION_IMAGES` images and `CALIBRATION_PIXELS`, prepared for the network.

    Training images, never test images: what the file is proven on must be new to it.

    Args:
        bundle: the network; its preprocessing prepares the images.
        data: registry name, folder or manifest; the network's own training data if None.
        seed: of the draw.

    Returns:
        (N, S, S, 3) uint8, and what the file will say about them.

    Raises:
        UserError: the data cannot be read, or the network does not say what it was trained on.
    """
    from edgecmp.data import load_dataset

    name = data or bundle.manifest.data.get("name")
    if name is None:
        raise UserError(
            "This precision needs real images, and the network does not say what it learned from.",
            "Name images with --data.",
        )
    images = load_dataset(name).train
    affordable = CALIBRATION_PIXELS // bundle.preprocessing.input_size**2
    count = max(1, min(CALIBRATION_IMAGES, affordable, len(images)))
    chosen = np.sort(np.random.default_rng(seed).choice(len(images), count, replace=False))
    about = {"data": name, "fingerprint": images.fingerprint, "images": count, "seed": seed}
    return images.pixels(bundle.preprocessing, chosen), about
