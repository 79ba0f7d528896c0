"""Embedding images with a network: one loop for gallery, query and candidate networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgecmp.preprocessing import Preprocessing

__all__ = ["embed"]


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
