"""IndexManifest: what a gallery index was made from, and the hashes of its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from edgecmp.documents import parse_document
from edgecmp.errors import UserError
from edgecmp.files import provenance, read_json, seal_of, sha256_json
from edgecmp.preprocessing import Preprocessing

__all__ = ["BUILD_AGAIN", "MANIFEST", "IndexManifest", "is_index"]

BUILD_AGAIN = "Copy the complete folder again, or build it again with `edgecmp gallery build`."
"""What to do about an index that is damaged."""

MANIFEST = "manifest.json"


class IndexManifest(BaseModel):
    """The document in manifest.json.

    Attributes:
        format: the version of the document; "edgecmp-index/1" had no `content_sha256`.
        gallery_sha256: `Embedder.sha256` of the gallery model.
        preprocessing: the document of the `Preprocessing` of its images.
        preprocessing_fingerprint: the fingerprint of that document.
        data: name and fingerprint of the gallery's images.
        embeddings_sha256: hash of embeddings and identities.
        images_sha256: hash of the keys and identity names.
        provenance: the versions and the command that made the index.
        content_sha256: hash of all other fields; empty until the index is saved.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["edgecmp-index/1", "edgecmp-index/2"] = "edgecmp-index/2"
    gallery_sha256: str
    preprocessing: dict[str, Any]
    preprocessing_fingerprint: str
    data: dict[str, str]
    embeddings_sha256: str
    images_sha256: str
    provenance: dict[str, str] = Field(default_factory=provenance)
    content_sha256: str = ""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads manifest.json.

        Raises:
            UserError: the folder is not an index, or its manifest is damaged.
        """
        return cls._of(_document(folder), folder)

    @classmethod
    def load_whole(cls, folder: Path) -> Self:
        """As `load`, and refuses a manifest that was changed.

        Raises:
            UserError: see `load`; or it is not as it was written.
        """
        document = _document(folder)
        manifest = cls._of(document, folder)
        if manifest.format == "edgecmp-index/1" and not manifest.content_sha256:
            as_written = sha256_json(manifest.preprocessing) == manifest.preprocessing_fingerprint
        else:
            as_written = seal_of(document) == manifest.content_sha256
        if not as_written:
            raise UserError(
                f"{folder / MANIFEST} was changed after the gallery index was built.", BUILD_AGAIN
            )
        Preprocessing.from_dict(manifest.preprocessing)  # refuses what no image can be prepared by
        return manifest

    @classmethod
    def _of(cls, document: Mapping[str, Any], folder: Path) -> Self:
        return parse_document(
            cls,
            document,
            refusal=f"{folder / MANIFEST} is not a manifest of this version",
            way_out="Build the index again with `edgecmp gallery build`.",
        )


def is_index(folder: Path) -> bool:
    """Whether the path is a folder with a manifest of a gallery index."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return False
    document = read_json(manifest, what="the manifest of a gallery")
    return str(document.get("format")).startswith("edgecmp-index/")


def _document(folder: Path) -> dict[str, Any]:
    """The document in manifest.json, if it is that of an index."""
    if folder.is_file():
        raise UserError(
            f"{folder} is a file, not a gallery index.",
            "Name the folder that `edgecmp gallery build` wrote.",
        )
    document = read_json(folder / MANIFEST, what="the manifest of a gallery index")
    if not str(document.get("format")).startswith("edgecmp-index/"):
        raise UserError(
            f"{folder} is not a gallery index.", "Build one with `edgecmp gallery build`."
        )
    return document
