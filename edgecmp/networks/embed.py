"""Embedding images with a network: one loop for gallery, query and candidate networks."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgecmp.data.image_set import ImageSet
from edgecmp.preprocessing import Preprocessing

__all__ = ["Embedder", "embed", "embed_set"]


class Embedder(Protocol):
    """A network that embeds images, whatever it is kept in: a bundle of ours or an ONNX file."""

    @property
    def name(self) -> str:
        """Where it lies, for reports and errors."""

    @property
    def sha256(self) -> str:
        """The name of this model in other artefacts."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How images are prepared for it."""

    @property
    def gallery_sha256(self) -> str | None:
        """The gallery model it is compatible with, if it is a query network that says so."""

    @property
    def foreign(self) -> bool:
        """Whether it was made elsewhere, so that no hash tells what was exported from it."""

    @property
    def embedding_dim(self) -> int:
        """D of its embeddings."""

    def embed(self, images: NDArray[Any]) -> NDArray[Any]:
        """Prepared images uint8 (N, S, S, 3) to embeddings float32 (N, D) of unit length."""


def embed_set(model: Embedder, images: ImageSet) -> NDArray[Any]:
    """Embeddings float32 (N, D) of a set of images, a part of which is in memory at a time."""
    return np.concatenate([model.embed(part) for part in images.parts(model.preprocessing)])


@torch.inference_mode()
def embed(
    network: nn.Module,
    images: NDArray[Any],
    preprocessing: Preprocessing,
    *,
    batch_size: int = 256,
) -> NDArray[Any]:
    """Images uint8 (N, S, S, 3) to embeddings float32 (N, D), in evaluation mode.

    The network keeps its mode; the result depends on the batch size only by float rounding.
    """
    training = network.training
    network.eval()
    parts = [
        network(preprocessing.normalise(images[start : start + batch_size])).float().numpy()
        for start in range(0, len(images), batch_size)
    ]
    network.train(training)
    return np.concatenate(parts)
