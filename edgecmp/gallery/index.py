"""GalleryIndex: the server's embeddings of all gallery images, with exact search.

An index is a folder: embeddings.safetensors (`embeddings` (G, D) float32, `identities` (G,)),
images.json (the key of each image, the name of each identity) and manifest.json with the gallery
model, the data and the preprocessing that it was made from. While it is built, the folder
.unfinished inside it keeps the embeddings so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from edgecmp.data import ImageSet
from edgecmp.errors import UserError
from edgecmp.files import (
    json_bytes,
    read_json,
    read_tensors,
    seal,
    sha256_json,
    sha256_tensors,
    tensor_bytes,
)
from edgecmp.gallery.embedding import embed_gallery, gallery_settings
from edgecmp.gallery.index_manifest import BUILD_AGAIN, MANIFEST, IndexManifest
from edgecmp.metrics.exact_search import Embeddings, ExactSearch, Labels
from edgecmp.networks.collapse import warn_if_collapsed
from edgecmp.networks.embed import Embedder
from edgecmp.progress import say
from edgecmp.report import Report
from edgecmp.storage import write_folder
from edgecmp.storage.unfinished import Unfinished
from edgecmp.wording import counted

__all__ = ["GalleryIndex"]

_EMBEDDINGS = "embeddings.safetensors"
_IMAGES = "images.json"
_UNFINISHED = ".unfinished"

UNIT_LENGTH = 1e-3
"""The largest difference of an embedding's length from 1."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class GalleryIndex(Report):
    """Embeddings of G gallery images.

    Attributes:
        embeddings: (G, D) float32, unit length.
        identities: (G,) int64, indices into `identity_names`.
        identity_names: the identities.
        keys: (G,) a readable id of each image.
        manifest: the model, data and preprocessing of the embeddings.
        built_in: folder that the index was just written to; None for an index that was read.
    """

    embeddings: Embeddings
    identities: Labels
    identity_names: tuple[str, ...]
    keys: tuple[str, ...]
    manifest: IndexManifest
    built_in: Path | None = None
    _exact: ExactSearch = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_exact", ExactSearch(self.embeddings))

    def __len__(self) -> int:
        return len(self.embeddings)

    @classmethod
    def build(cls, model: Embedder, images: ImageSet, out: str | Path) -> Self:
        """Embeds `images` with the gallery model and writes the index to the folder `out`.

        An interrupted build resumes when it is run again. An earlier index stays until the new one
        is complete.

        Raises:
            UserError: there are no images, an embedding is not finite, `out` cannot be written, or
                an interrupted build of other data or another model has left its embeddings there.
        """
        if not len(images):
            raise UserError(
                f"{images.name} has no image for the gallery.", "Name other data with --data."
            )
        out = Path(out)
        count = len(np.unique(images.identities))
        say(
            f"Indexing {counted(len(images), 'image')} of {counted(count, 'identity')} with "
            f"{model.name}."
        )
        new = not out.exists()
        try:
            with Unfinished.opened(
                out / _UNFINISHED,
                gallery_settings(model, images),
                what="gallery index",
                result=out,
            ) as work:
                embeddings = embed_gallery(model, images, work)
                warn_if_collapsed(embeddings, model.name)
                index = cls(
                    embeddings=embeddings,
                    identities=images.identities,
                    identity_names=images.identity_names,
                    keys=images.keys,
                    manifest=_manifest(model, images, embeddings),
                    built_in=out,
                )
                index.save(out)
        finally:
            if new:
                with suppress(OSError):  # nothing is in it, because nothing could be kept
                    out.rmdir()
        return index

    def save(self, folder: str | Path) -> Path:
        """Writes the folder; an earlier index in it stays until all files are complete.

        Raises:
            UserError: the folder cannot be written, for example because the disk is full.
        """
        manifest = self.manifest.model_copy(update={"format": "edgecmp-index/2"})
        return write_folder(
            folder,
            {
                _EMBEDDINGS: tensor_bytes(_tensors(self.embeddings, self.identities)),
                _IMAGES: json_bytes(_names(self.keys, self.identity_names)),
                MANIFEST: json_bytes(seal(manifest.model_dump())),
            },
        )

    @classmethod
    def load(cls, folder: str | Path, *, gallery_sha256: str | None = None) -> Self:
        """Reads an index.

        Args:
            folder: a folder that `build` or `save` wrote.
            gallery_sha256: hash of the gallery model that must have made it; None: any.

        Raises:
            UserError: the folder is not an index, was changed, or is of another gallery model.
        """
        folder = Path(folder)
        manifest = IndexManifest.load_whole(folder)
        if gallery_sha256 not in (None, manifest.gallery_sha256):
            raise UserError(
                f"The gallery index {folder} was made by another gallery model "
                f"({manifest.gallery_sha256[:12]}, not {str(gallery_sha256)[:12]}).",
                "Build it again with `edgecmp gallery build`, or name this gallery model's index.",
            )
        tensors = read_tensors(folder / _EMBEDDINGS, what="the embeddings of a gallery index")
        names = read_json(folder / _IMAGES, what="the image list of a gallery index")
        if (
            sha256_tensors(tensors) != manifest.embeddings_sha256
            or sha256_json(names) != manifest.images_sha256
        ):
            raise UserError(
                f"The files of the gallery index {folder} are not those that its manifest names.",
                BUILD_AGAIN,
            )
        if fault := _fault(tensors, names):
            raise UserError(f"The gallery index {folder} cannot be used: {fault}.", BUILD_AGAIN)
        return cls(
            embeddings=tensors["embeddings"].numpy(),
            identities=tensors["identities"].numpy(),
            identity_names=tuple(names["identity_names"]),
            keys=tuple(names["keys"]),
            manifest=manifest,
        )

    def search(self, queries: Embeddings, k: int) -> tuple[Embeddings, Labels]:
        """The k most similar gallery images of each query, most similar first; exact.

        Args:
            queries: (Q, D), embedded by the gallery model or by a compatible query network.
            k: how many; at most G are returned.

        Returns:
            Scores (Q, k) float32 and gallery indices (Q, k) int64; equal scores by index.

        Raises:
            UserError: the embeddings have another size, or are not finite.
        """
        if queries.shape[1:] != self.embeddings.shape[1:]:
            raise UserError(
                f"A query embedding has {queries.shape[-1]} values, but a gallery embedding has "
                f"{self.embeddings.shape[1]}.",
                "Name a query network that was trained for this gallery model.",
            )
        return self._exact.search(queries, k)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The table that `edgecmp gallery build` prints."""
        return [
            {
                "data": self.manifest.data["name"],
                "images": len(self),
                "identities": len(np.unique(self.identities)),
                "embedding_dim": self.embeddings.shape[1],
                "gallery_sha256": self.manifest.gallery_sha256[:12],
            }
        ]

    def written(self) -> dict[str, Path]:
        """What was written, and where."""
        return {} if self.built_in is None else {"the gallery index": self.built_in}

    def to_dict(self) -> dict[str, Any]:
        """What `edgecmp gallery build --json` writes."""
        return {"rows": self.rows, "manifest": self.manifest.model_dump()}


def _manifest(model: Embedder, images: ImageSet, embeddings: Embeddings) -> IndexManifest:
    """The manifest of a new index."""
    return IndexManifest(
        gallery_sha256=model.sha256,
        preprocessing=model.preprocessing.to_dict(),
        preprocessing_fingerprint=model.preprocessing.fingerprint,
        data={"name": images.name, "fingerprint": images.fingerprint},
        embeddings_sha256=sha256_tensors(_tensors(embeddings, images.identities)),
        images_sha256=sha256_json(_names(images.keys, images.identity_names)),
    )


def _fault(tensors: Mapping[str, torch.Tensor], names: Mapping[str, Any]) -> str:
    """What makes the content of an index unusable, whatever its hashes say; empty if nothing."""
    lists = [names.get("identity_names"), names.get("keys")]
    if not all(isinstance(one, list) and all(isinstance(t, str) for t in one) for one in lists):
        return f"{_IMAGES} has no lists of keys and identity names"
    identity_names, keys = lists
    embeddings, identities = tensors.get("embeddings"), tensors.get("identities")
    if embeddings is None or embeddings.ndim != 2 or embeddings.dtype != torch.float32:
        return f"{_EMBEDDINGS} has no table of float32 embeddings"
    if not embeddings.numel() or len(embeddings) != len(keys or ()):
        return f"it has {len(embeddings)} embeddings of {len(keys or ())} images"
    if identities is None or identities.shape != (len(embeddings),):
        return f"{_EMBEDDINGS} has no identity of each image"
    if identities.dtype != torch.int64:
        return f"its identities are {identities.dtype}, not int64"
    if identities.min() < 0 or identities.max() >= len(identity_names or ()):
        return "an image has an identity without a name"
    lengths = torch.linalg.vector_norm(embeddings, dim=1)
    if not bool(((lengths - 1).abs() < UNIT_LENGTH).all()):
        return "not every embedding has the length 1"
    return ""


def _tensors(embeddings: Embeddings, identities: Labels) -> dict[str, torch.Tensor]:
    return {
        "embeddings": torch.from_numpy(embeddings),
        "identities": torch.from_numpy(np.asarray(identities, np.int64)),
    }


def _names(keys: tuple[str, ...], identity_names: tuple[str, ...]) -> dict[str, list[str]]:
    return {"identity_names": list(identity_names), "keys": list(keys)}
