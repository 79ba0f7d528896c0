"""The manifest of a bundle: what a network is and was made from, with a hash over all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from edgecmp.documents import parse_document
from edgecmp.errors import UserError
from edgecmp.files import provenance, read_json, seal_of

__all__ = ["ARCHITECTURE", "COPY_AGAIN", "MANIFEST", "Manifest"]

MANIFEST = "manifest.json"
ARCHITECTURE = "architecture.json"
COPY_AGAIN = "Copy the complete folder again: files were changed or belong to another model."


class Manifest(BaseModel):
    """The document in manifest.json.

    Attributes:
        format: the version of the document; "edgecmp-bundle/1" had no `content_sha256`.
        kind: "gallery", "supernet" or "query".
        network: what the network is rebuilt from; empty for a query network, which has an
            architecture.json.
        weights_sha256: hash of the weights.
        preprocessing: the document of `Preprocessing`.
        gallery_sha256: hash of the gallery model that the network is compatible with.
        data: name and fingerprint of the training data; "unlabelled" and "gallery_known" describe
            the images that were added without identities, whose list has the hash "seen_sha256".
        recipe: all settings of the training, including the seed.
        metrics: results when it was made.
        provenance: the versions and the command that made it.
        content_sha256: hash of all other fields and of architecture.json; empty until it is saved.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["edgecmp-bundle/1", "edgecmp-bundle/2"] = "edgecmp-bundle/2"
    kind: Literal["gallery", "supernet", "query"]
    network: dict[str, Any] = Field(default_factory=dict)
    weights_sha256: str = ""
    preprocessing: dict[str, Any]
    gallery_sha256: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    recipe: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    provenance: dict[str, str] = Field(default_factory=provenance)
    content_sha256: str = ""

    @classmethod
    def load(cls, folder: Path, *, what: str = "the manifest of a model") -> Self:
        """Reads manifest.json; `what` names it in errors.

        Raises:
            UserError: it is missing, truncated or of another version.
        """
        return cls._of(read_json(folder / MANIFEST, what=what), folder)

    @classmethod
    def load_whole(cls, folder: Path, *, what: str = "the manifest of a model") -> Self:
        """As `load`, and refuses a manifest or an architecture.json that was changed.

        Raises:
            UserError: see `load`; or it is not as it was written.
        """
        document = read_json(folder / MANIFEST, what=what)
        manifest = cls._of(document, folder)
        if manifest.format == "edgecmp-bundle/1" and not manifest.content_sha256:
            return manifest
        related, files = [], MANIFEST
        if manifest.kind == "query":
            related = [read_json(folder / ARCHITECTURE, what="an architecture")]
            files = f"{MANIFEST} or {ARCHITECTURE}"
        if seal_of(document, *related) != manifest.content_sha256:
            raise UserError(f"{files} in {folder} was changed after it was written.", COPY_AGAIN)
        return manifest

    @classmethod
    def _of(cls, document: dict[str, Any], folder: Path) -> Self:
        return parse_document(
            cls,
            document,
            refusal=f"{folder / MANIFEST} is not a manifest of this version",
            way_out="Train the model again, or use the edgecmp version that made it.",
        )

    def size(self, name: str, folder: Path) -> int:
        """A whole number of `network`, such as "input_size".

        Raises:
            UserError: the manifest in `folder` does not have it.
        """
        value = self.network.get(name)
        if type(value) is not int:
            raise UserError(
                f"{folder / MANIFEST} has no {name} of the network.",
                "Copy the complete folder again, or train the model again.",
            )
        return value
