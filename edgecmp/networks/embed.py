"""Embeds images with a network: one loop for gallery, query and candidate networks."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgecmp.data.image_set import ImageSet
from edgecmp.errors import UserError
from edgecmp.networks.collapse import warn_if_collapsed
from edgecmp.preprocessing import Preprocessing

__all__ = ["Embedder", "embed", "embed_set"]

MOST_IMAGES, MOST_BYTES = 1024, 2**28
"""Of prepared images that `embed_set` has in memory at a time."""


class Embedder(Protocol):
    """A network that embeds images: an edgecmp bundle or an ONNX file."""

    @property
    def name(self) -> str:
        """Its path, for reports and errors."""

    @property
    def sha256(self) -> str:
        """The hash by which other artefacts refer to this model."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How images are prepared for it."""

    @property
    def gallery_sha256(self) -> str | None:
        """Hash of the gallery model that it is compatible with, if it is known."""

    @property
    def external(self) -> bool:
        """Whether it was not made by edgecmp, so that exports of it cannot be traced by a hash."""

    @property
    def embedding_dim(self) -> int:
        """D of its embeddings."""

    def embed(self, images: NDArray[Any]) -> NDArray[Any]:
        """Prepared images uint8 (N, H, W, 3) to embeddings float32 (N, D) of unit length."""


def embed_set(model: Embedder, images: ImageSet) -> NDArray[Any]:
    """Embeddings float32 (N, D) of a set of images, read and embedded batch by batch.

    Embeddings that are almost the same for all images are reported.

    Raises:
        UserError: an embedding is not finite.
    """
    preprocessing = model.preprocessing
    at_once = max(1, min(MOST_IMAGES, MOST_BYTES // math.prod(preprocessing.shape)))
    found: NDArray[Any] = np.concatenate(
        [model.embed(batch) for batch in images.batches(preprocessing, at_once)]
    )
    if not np.isfinite(found).all():
        raise UserError(
            f"{model.name} returns embeddings that are not finite for images of {images.name}.",
            "Train or export the network again: its weights or the mean and std are wrong.",
        )
    warn_if_collapsed(found, model.name)
    return found


@torch.inference_mode()
def embed(
    network: nn.Module,
    images: NDArray[Any],
    preprocessing: Preprocessing,
    *,
    batch_size: int = 256,
) -> NDArray[Any]:
    """Embeds images in evaluation mode; the network is then put back into its mode.

    Args:
        network: takes normalised images (N, 3, S, S) to embeddings (N, D).
        images: prepared images uint8 (N, S, S, 3).
        preprocessing: how the images are normalised.
        batch_size: affects the result only by float rounding.

    Returns:
        Embeddings float32 (N, D).
    """
    training = network.training
    network.eval()
    parts = [
        network(preprocessing.normalise(images[start : start + batch_size])).float().numpy()
        for start in range(0, len(images), batch_size)
    ]
    network.train(training)
    return np.concatenate(parts)
