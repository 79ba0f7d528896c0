"""Embeds the faces of an IJB-C folder with one or several models, block by block.

IJB-C has 469,375 faces. Finished blocks can be stored in a cache folder, so that an interrupted run
resumes, and so that the evaluation of another query network reuses the gallery model's embeddings.
The name of a block's file is the hash of all that it depends on: the model, its preprocessing, the
images and their points. Files are written atomically, and one that was damaged is computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from edgecmp.data.ijbc.images import AlignedFaces
from edgecmp.errors import UserError
from edgecmp.files import read_tensors, sha256_json, sha256_tensors, write_tensors
from edgecmp.metrics.exact_search import Embeddings
from edgecmp.networks.embed import Embedder
from edgecmp.progress import progress, say

__all__ = ["embed_faces"]

_FACES_AT_ONCE = 1024
_HASH = "sha256"
"""The tensor of a block's file that holds the hash of the others."""


def embed_faces(
    faces: AlignedFaces, models: Sequence[Embedder], *, flip: bool = True, cache: Path | None = None
) -> list[Embeddings]:
    """The feature of each face by each model; a face is read and aligned once for all models.

    Args:
        faces: N aligned faces.
        models: the networks, each with its preprocessing.
        flip: add the embedding of the mirrored face to that of the face.
        cache: folder for finished blocks; None: no cache.

    Returns:
        One (N, D) float32 per model: of unit length without `flip`, otherwise sums of two such.

    Raises:
        UserError: an image cannot be read, or the cache cannot be written.
    """
    features = [np.empty((len(faces), model.embedding_dim), np.float32) for model in models]
    with progress("Embedding faces", total=len(faces), unit="face") as bar:
        for start in range(0, len(faces), _FACES_AT_ONCE):
            rows = range(start, min(start + _FACES_AT_ONCE, len(faces)))
            block = _Block(faces, rows, flip, cache)
            for model, found in zip(models, features, strict=True):
                found[rows.start : rows.stop] = block.embed(model)
            bar.advance(len(rows))
    return features


def _stored(file: Path, shape: tuple[int, int]) -> Embeddings | None:
    """The features in a block's file; None if there is none or it is not as it was written."""
    if not file.exists():
        return None
    try:
        tensors = read_tensors(file, what="embeddings of faces")
    except UserError:
        tensors = {}
    stored = tensors.pop(_HASH, None)
    if stored is None or not torch.equal(stored, _hash(tensors)):
        say(f"{file} was damaged and is computed again.")
        return None
    features: Embeddings = tensors["features"].numpy()
    return features if features.shape == shape else None


def _hash(tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The hash of a block's tensors, as 32 bytes."""
    return torch.tensor(list(bytes.fromhex(sha256_tensors(tensors))), dtype=torch.uint8)


class _Block:
    """Some faces, whose files are read only if an embedding is not in the cache."""

    def __init__(self, faces: AlignedFaces, rows: range, flip: bool, cache: Path | None) -> None:
        self._faces, self._rows, self._flip, self._cache = faces, rows, flip, cache
        self._images: list[Image.Image] | None = None
        self._fingerprint = faces.fingerprint(rows) if cache else ""

    def embed(self, model: Embedder) -> Embeddings:
        """(n, D), from the cache if possible."""
        if self._cache is None:
            return self._compute(model)
        about = {
            "faces": self._fingerprint,
            "flip": self._flip,
            "model": model.sha256,
            "preprocessing": model.preprocessing.fingerprint,
        }
        file = self._cache / f"{sha256_json(about)}.safetensors"
        features = _stored(file, (len(self._rows), model.embedding_dim))
        if features is None:
            features = self._compute(model)
            tensors = {"features": torch.from_numpy(features)}
            write_tensors(file, {**tensors, _HASH: _hash(tensors)})
        return features

    def _compute(self, model: Embedder) -> Embeddings:
        if self._images is None:
            self._images = self._faces.read(self._rows)
        prepare = model.preprocessing
        pixels: NDArray[Any] = np.stack([prepare.fit(image) for image in self._images])
        features: Embeddings = model.embed(pixels)
        if self._flip:
            features = features + model.embed(np.ascontiguousarray(pixels[:, :, ::-1]))
        return features
