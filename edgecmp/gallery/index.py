"""GalleryIndex: the server's embeddings of all gallery images, with exact search.

An index is a folder: embeddings.safetensors (`embeddings` (G, D) float32, `identities` (G,)),
images.json (the key of each image, the name of each identity) and manifest.json with the gallery
model, the data and the preprocessing that it was made from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from edgecmp.data import ImageSet
from edgecmp.documents import parse_document
from edgecmp.errors import UserError
from edgecmp.files import (
    provenance,
    read_json,
    read_tensors,
    sha256_json,
    sha256_tensors,
    write_json,
    write_tensors,
)
from edgecmp.metrics.exact_search import Embeddings, ExactSearch, Labels, checked
from edgecmp.networks.embed import Embedder
from edgecmp.progress import progress
from edgecmp.report import Report

__all__ = ["GalleryIndex", "IndexManifest"]

_EMBEDDINGS = "embeddings.safetensors"
_IMAGES = "images.json"
_MANIFEST = "manifest.json"
_IMAGES_AT_ONCE = 1024


class IndexManifest(BaseModel):
    """The document in manifest.json.

    Attributes:
        format: the version of the document.
        gallery_sha256: `Embedder.sha256` of the gallery model.
        preprocessing: the document of the `Preprocessing` of its images.
        preprocessing_fingerprint: the fingerprint of that document.
        data: name and fingerprint of the gallery's images.
        embeddings_sha256: hash of embeddings and identities.
        images_sha256: hash of the keys and identity names.
        provenance: the versions and the command that made the index.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["edgecmp-index/1"] = "edgecmp-index/1"
    gallery_sha256: str
    preprocessing: dict[str, Any]
    preprocessing_fingerprint: str
    data: dict[str, str]
    embeddings_sha256: str
    images_sha256: str
    provenance: dict[str, str] = Field(default_factory=provenance)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads manifest.json.

        Raises:
            UserError: the folder is not an index, or its manifest is damaged.
        """
        document = read_json(folder / _MANIFEST, what="the manifest of a gallery index")
        if document.get("format") != "edgecmp-index/1":
            raise UserError(
                f"{folder} is not a gallery index.", "Build one with `edgecmp gallery build`."
            )
        return parse_document(
            cls,
            document,
            refusal=f"{folder / _MANIFEST} is not a manifest of this version",
            way_out="Build the index again with `edgecmp gallery build`.",
        )


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

        Raises:
            UserError: there are no images, an embedding is not finite, or `out` cannot be written.
        """
        if not len(images):
            raise UserError(
                f"{images.name} has no image for the gallery.", "Name other data with --data."
            )
        prepare = model.preprocessing
        parts = []
        with progress("Embedding the gallery", total=len(images), unit="image") as bar:
            for start in range(0, len(images), _IMAGES_AT_ONCE):
                rows = np.arange(start, min(start + _IMAGES_AT_ONCE, len(images)))
                parts.append(model.embed(images.pixels(prepare, rows)))
                bar.advance(len(rows))
        embeddings = checked(np.concatenate(parts))
        manifest = IndexManifest(
            gallery_sha256=model.sha256,
            preprocessing=prepare.to_dict(),
            preprocessing_fingerprint=prepare.fingerprint,
            data={"name": images.name, "fingerprint": images.fingerprint},
            embeddings_sha256=sha256_tensors(_tensors(embeddings, images.identities)),
            images_sha256=sha256_json(_names(images.keys, images.identity_names)),
        )
        index = cls(
            embeddings=embeddings,
            identities=images.identities,
            identity_names=images.identity_names,
            keys=images.keys,
            manifest=manifest,
            built_in=Path(out),
        )
        index.save(out)
        return index

    def save(self, folder: str | Path) -> Path:
        """Writes the folder, the manifest last, so that an incomplete index is never read."""
        folder = Path(folder)
        write_tensors(folder / _EMBEDDINGS, _tensors(self.embeddings, self.identities))
        write_json(folder / _IMAGES, _names(self.keys, self.identity_names))
        write_json(folder / _MANIFEST, self.manifest.model_dump())
        return folder

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
        manifest = IndexManifest.load(folder)
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
                "Copy the complete folder again, or build it again with `edgecmp gallery build`.",
            )
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


def _tensors(embeddings: Embeddings, identities: Labels) -> dict[str, torch.Tensor]:
    return {
        "embeddings": torch.from_numpy(embeddings),
        "identities": torch.from_numpy(np.asarray(identities, np.int64)),
    }


def _names(keys: tuple[str, ...], identity_names: tuple[str, ...]) -> dict[str, list[str]]:
    return {"identity_names": list(identity_names), "keys": list(keys)}
