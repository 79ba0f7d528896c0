"""The kind of an artefact, from its name and format."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias, get_args

from edgecmp.data.shards import is_shards
from edgecmp.errors import UserError
from edgecmp.files import read_json

__all__ = ["MODEL_SUFFIXES", "Kind", "artefact_kind"]

MODEL_SUFFIXES = (".tflite", ".onnx", ".mlpackage")

Kind: TypeAlias = Literal[
    "gallery",
    "supernet",
    "query",
    "index",
    "search",
    "architecture",
    "latency table",
    "shards",
    "model file",
    "description",
]


def artefact_kind(path: Path) -> Kind:
    """The kind of the artefact at `path`; whether it is complete is for its reader to say.

    Raises:
        UserError: there is nothing, or it is not an artefact of edgecmp.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist.", "Check that the path is right.")
    if path.suffix in MODEL_SUFFIXES:
        return "model file"
    if path.suffix == ".toml":
        return "description"
    if path.is_dir() and (path / "manifest.json").exists():
        return _kind_of_folder(path / "manifest.json")
    if path.name in ("history.jsonl", "result.json") or (path / "history.jsonl").exists():
        return "search"
    if path.suffix == ".json":
        table = str(_field(path, "format")).startswith("edgecmp-latency-table/")
        return "latency table" if table else "architecture"
    if path.is_dir() and (path / "architecture.json").exists():
        return "architecture"
    if is_shards(path):
        return "shards"
    raise UserError(
        f"{path} is not an artefact of edgecmp.",
        "Name a model's folder, a gallery index, a search, an architecture.json, a latency table, "
        "images in shards, or a .tflite, .onnx or .mlpackage.",
    )


def _kind_of_folder(manifest: Path) -> Kind:
    """Of a folder with a manifest.json: an index, or one of the three kinds of networks."""
    if str(_field(manifest, "format")).startswith("edgecmp-index/"):
        return "index"
    kind = _field(manifest, "kind")
    return next((known for known in get_args(Kind)[:3] if known == kind), "gallery")


def _field(document: Path, name: str) -> object:
    """A field of a JSON document; None if it cannot be read, which its reader then reports."""
    try:
        return read_json(document, what="a document").get(name)
    except UserError:
        return None
