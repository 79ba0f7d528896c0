"""Opens a gallery model or a query network in any of the supported formats.

A folder is an edgecmp bundle. An .onnx file was exported by edgecmp, or is external and has a .toml
description of the same name in its folder. A .toml file describes an ONNX file (see
`edgecmp.networks.onnx_description`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

from edgecmp.artefacts.bundle import GalleryBundle, QueryBundle
from edgecmp.documents import peek_toml
from edgecmp.errors import UserError
from edgecmp.gallery.embedding_table import describes_table
from edgecmp.networks.embed import Embedder
from edgecmp.networks.onnx_description import OnnxDescription, template
from edgecmp.networks.onnx_file import OnnxFile
from edgecmp.networks.onnx_network import OnnxModel

__all__ = ["GalleryFacts", "check_pair", "open_described", "open_gallery", "open_query"]

SHA256 = re.compile("[0-9a-f]{64}")


def open_gallery(path: str | Path) -> Embedder:
    """The gallery model at `path`: a bundle's folder, an .onnx file or its .toml description.

    Raises:
        UserError: it is none of these, or it is truncated, was changed or cannot be used.
    """
    path = Path(path)
    if path.suffix == ".toml":
        return open_described(path)
    if path.suffix != ".onnx":
        return GalleryBundle.load(path)
    file = OnnxFile(path)
    if file.document is not None:
        raise UserError(
            f"{path} is an exported query network, not a gallery model.",
            "Name the gallery model that the query network is compatible with.",
        )
    return _external(file)


def open_query(path: str | Path) -> Embedder:
    """The query network at `path`: a bundle's folder, an .onnx file or its .toml description.

    Raises:
        UserError: see `open_gallery`.
    """
    path = Path(path)
    if path.suffix == ".toml":
        return open_described(path)
    if path.suffix != ".onnx":
        return QueryBundle.load(path)
    file = OnnxFile(path)
    return OnnxModel.exported(file) if file.document is not None else _external(file)


def _external(file: OnnxFile) -> OnnxModel:
    """An external file with the description in its folder."""
    source = file.path.with_suffix(".toml")
    if source.exists():
        model = open_described(source)
        if model.file.path.resolve() == file.path.resolve():
            return model
    raise UserError(
        f"{file.path} does not contain the preprocessing of its images.",
        f"Describe it in {source}, for example by:\n\n{template(file)}\n",
    )


def open_described(source: Path) -> OnnxModel:
    """The network in the ONNX file that the .toml file `source` describes.

    Raises:
        UserError: the description is wrong, or the ONNX file cannot be used.
    """
    if describes_table(source):
        raise UserError(
            f"{source} describes a table of embeddings, but this command needs the network itself.",
            "Name the gallery model that computed the embeddings.",
        )
    description = OnnxDescription.load(source)
    gallery = description.gallery
    if gallery is not None and not SHA256.fullmatch(gallery):
        gallery = _gallery_hash(gallery, source)
    return OnnxModel.described(description, source=source, gallery=gallery)


def _gallery_hash(gallery: str, source: Path) -> str:
    """The hash of the gallery model that the description `source` names by a path."""
    place = source.parent / gallery
    if not place.exists():
        raise UserError(
            f"The gallery {gallery!r} in {source} is neither a SHA-256 nor an existing path.",
            f"Write the path of the gallery model relative to {source.parent}.",
        )
    described = place if place.suffix == ".toml" else place.with_suffix(".toml")
    if described.resolve() == source.resolve():
        raise UserError(f"{source} names itself as its gallery.", f"Remove gallery from {source}.")
    if place.suffix in (".toml", ".onnx") and "gallery" in peek_toml(described):
        raise UserError(
            f"{source} names {place} as its gallery, but {described} names a gallery too and "
            "therefore describes a query network.",
            f"Name a gallery model in {source}, or remove gallery from {described}.",
        )
    return open_gallery(place).sha256


class GalleryFacts(Protocol):
    """The facts about a gallery that a query network must match."""

    @property
    def name(self) -> str:
        """Its path, for errors."""

    @property
    def sha256(self) -> str:
        """The hash by which query networks refer to it."""

    @property
    def embedding_dim(self) -> int:
        """D of its embeddings."""


def check_pair(query: Embedder, gallery: GalleryFacts) -> None:
    """Refuses a query network that is not compatible with a gallery.

    Raises:
        UserError: the query network was trained for another gallery model, or its embeddings have
            another size.
    """
    if query.gallery_sha256 not in (None, gallery.sha256):
        raise UserError(
            f"{query.name} was trained for another gallery model than {gallery.name}.",
            "Name the gallery model of its training with --gallery, or train it again.",
        )
    if query.embedding_dim != gallery.embedding_dim:
        raise UserError(
            f"The embeddings of {query.name} have {query.embedding_dim} values, but those of "
            f"{gallery.name} have {gallery.embedding_dim}.",
            "Name a query network that was trained for this gallery model.",
        )
