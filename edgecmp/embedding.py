"""Embedding images with a network: one loop for gallery, query and candidate networks."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from edgecmp.preprocessing import Preprocessing

__all__ = ["embed"]


@torch.inference_mode()
def embed(
    network: nn.Module,
    images: np.ndarray,
    preprocessing: Preprocessing,
    *,
    batch_size: int = 256,
) -> np.ndarray:
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
