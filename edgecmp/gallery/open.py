"""Opening a gallery model or a query network, whatever it is kept in.

A folder is a bundle of ours; an .onnx file is an export of ours, or anybody's with the .toml of the
same name beside it; a .toml file describes an ONNX file (see `edgecmp.networks.onnx_network`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

from edgecmp.artefacts.bundle import GalleryBundle, QueryBundle
from edgecmp.errors import UserError
from edgecmp.gallery.embedding_table import describes_table
from edgecmp.networks.embed import Embedder
from edgecmp.networks.onnx_file import OnnxFile
from edgecmp.networks.onnx_network import OnnxDescription, OnnxModel, template

__all__ = ["GalleryFacts", "check_pair", "open_described", "open_gallery", "open_query"]

SHA256 = re.compile("[0-9a-f]{64}")


def open_gallery(path: str | Path) -> Embedder:
    """The gallery model at `path`: a bundle's folder, an .onnx file or its .toml description.

    Raises:
        UserError: it is none of these, or it is truncated, changed or unusable.
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
            "Name the gallery model that it is compatible with.",
        )
    return _beside(file)


def open_query(path: str | Path) -> Embedder:
    """The query network at `path`; see `open_gallery`."""
    path = Path(path)
    if path.suffix == ".toml":
        return open_described(path)
    if path.suffix != ".onnx":
        return QueryBundle.load(path)
    file = OnnxFile(path)
    return OnnxModel.exported(file) if file.document is not None else _beside(file)


def _beside(file: OnnxFile) -> OnnxModel:
    """A foreign file by the description beside it."""
    source = file.path.with_suffix(".toml")
    if source.exists():
        model = open_described(source)
        if model.file.path.resolve() == file.path.resolve():
            return model
    raise UserError(
        f"{file.path} does not say how images are prepared for it.",
        f"Write {source}, and name that file or this one:\n\n{template(file)}\n",
    )


def open_described(source: Path) -> OnnxModel:
    """The ONNX file that the .toml file `source` describes.

    Raises:
        UserError: see `open_gallery`; or the description is wrong.
    """
    if describes_table(source):
        raise UserError(
            f"{source} describes a table of embeddings, and here the network itself is needed.",
            "Name the model that made them.",
        )
    description = OnnxDescription.load(source)
    gallery = description.gallery
    if gallery is not None and not SHA256.fullmatch(gallery):
        place = source.parent / gallery
        if not place.exists():
            raise UserError(
                f"The gallery {gallery!r} of {source} is neither a SHA-256 nor a path.",
                "Name the gallery model's folder, .onnx or .toml, relative to this file.",
            )
        if place.resolve() == source.resolve():
            raise UserError(f"{source} names itself as its gallery.", "Remove that line.")
        gallery = open_gallery(place).sha256
    return OnnxModel.described(description, source=source, gallery=gallery)


class GalleryFacts(Protocol):
    """What a query network must agree with: a gallery model, or what stands for one."""

    @property
    def name(self) -> str:
        """Where it lies, for errors."""

    @property
    def sha256(self) -> str:
        """The name that query networks know it by."""

    @property
    def embedding_dim(self) -> int:
        """D of its embeddings."""


def check_pair(query: Embedder, gallery: GalleryFacts) -> None:
    """Refuses a query network and a gallery model that do not belong together.

    Raises:
        UserError: the query network was trained for another gallery model, or has another size.
    """
    if query.gallery_sha256 not in (None, gallery.sha256):
        raise UserError(
            f"{query.name} was trained for another gallery model than {gallery.name}.",
            "Name with --gallery the gallery model it was trained with, or train it again.",
        )
    if query.embedding_dim != gallery.embedding_dim:
        raise UserError(
            f"{query.name} gives {query.embedding_dim} values, {gallery.name} "
            f"{gallery.embedding_dim}: they are not compatible.",
            "Name a query network that was trained for this gallery model.",
        )
