"""TFLite's own interpreters, opened without edgecmp, as the reference for what a file computes."""

from __future__ import annotations

import importlib

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["embed", "min_cosine"]


def embed(runtime: str, model: bytes, images: Tensor) -> NDArray[np.float32]:
    """Images (N, 3, S, S), one by one, to embeddings (N, D)."""
    interpreter = importlib.import_module(f"{runtime}.interpreter").Interpreter(
        model_content=model, num_threads=1
    )
    run = interpreter.get_signature_runner("serving_default")
    batch = np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
    return np.concatenate([run(image=image[None])["embedding"] for image in batch])


def min_cosine(a: NDArray[np.float32], b: Tensor) -> float:
    """The smallest cosine of matching rows of unit length."""
    return float((a.astype(np.float64) * b.double().numpy()).sum(1).min())
