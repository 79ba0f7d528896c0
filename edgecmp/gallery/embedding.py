"""Embeds a gallery piece by piece, so that an interrupted build resumes where it stopped."""

from __future__ import annotations

from typing import Any

import numpy as np
import safetensors.numpy

from edgecmp.data import ImageSet
from edgecmp.errors import UserError
from edgecmp.metrics.exact_search import Embeddings, checked
from edgecmp.networks.embed import Embedder
from edgecmp.progress import progress, say
from edgecmp.storage.unfinished import Unfinished
from edgecmp.wording import counted

__all__ = ["IMAGES_AT_ONCE", "embed_gallery", "gallery_settings"]

IMAGES_AT_ONCE = 1024
"""Images that are embedded and kept together."""

_NAME = "embeddings"


def gallery_settings(model: Embedder, images: ImageSet) -> dict[str, Any]:
    """Everything that the embeddings of a gallery depend on."""
    return {
        "gallery": model.sha256,
        "preprocessing": model.preprocessing.fingerprint,
        "data": images.fingerprint,
        "images at once": IMAGES_AT_ONCE,
    }


def embed_gallery(model: Embedder, images: ImageSet, work: Unfinished) -> Embeddings:
    """Embeddings (G, D) float32 of G images; pieces that are finished already are not made again.

    Raises:
        UserError: an embedding is not finite; no piece is then kept.
    """
    starts = range(0, len(images), IMAGES_AT_ONCE)
    found = {start: piece for start in starts if (piece := _kept(work, start)) is not None}
    before = sum(map(len, found.values()))
    if before:
        say(f"Resuming: {before} of {counted(len(images), 'image')} are embedded already.")
    parts = []
    total = len(images)
    with progress("Embedding the gallery", total=total, unit="image", before=before) as bar:
        for start in starts:
            if start in found:
                parts.append(found[start])
                continue
            rows = np.arange(start, min(start + IMAGES_AT_ONCE, len(images)))
            embeddings = model.embed(images.pixels(model.preprocessing, rows))
            try:
                parts.append(checked(embeddings))
            except UserError:
                work.discard()
                raise
            work.put(_file(start), safetensors.numpy.save({_NAME: parts[-1]}))
            bar.advance(len(rows))
    return np.concatenate(parts)


def _kept(work: Unfinished, start: int) -> Embeddings | None:
    """The embeddings of a finished piece, if there are any."""
    content = work.get(_file(start))
    return None if content is None else safetensors.numpy.load(content)[_NAME]


def _file(start: int) -> str:
    return f"part-{start // IMAGES_AT_ONCE:05d}.safetensors"
