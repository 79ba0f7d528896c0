"""A gallery that is available only as a table of embeddings by image, without its network.

A small TOML file describes it:

    table = "embeddings.npz"   # relative to this file
    keys = "keys.txt"          # with a .safetensors only: the images' keys, one per line
    model = "resnet101 of May" # optional: a name for the model, so that images can be added later

| table | content |
|---|---|
| .npz | arrays `keys` (N,) and `embeddings` (N, D) |
| .safetensors | tensor `embeddings` (N, D) |
| .csv | a header, then one line per image: its key and D numbers |
| .jsonl | one line per image: `{"image": key, "embedding": [...]}` |
| a folder | a gallery index, as `edgecmp gallery build` writes it |

Keys are those of the data set: the path of an image inside its folder or manifest.
"""

from __future__ import annotations

import csv
import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from edgecmp.documents import peek_toml, read_description
from edgecmp.errors import UserError, unknown_choice
from edgecmp.files import read_tensors, sha256_json, sha256_tensors
from edgecmp.gallery.index import GalleryIndex

__all__ = ["EmbeddingTable", "TableDescription", "describes_table"]

Floats = NDArray[np.float32]


class TableDescription(BaseModel):
    """The keys of the TOML file; see the module's docstring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Path
    keys: Path | None = None
    model: str | None = None

    @classmethod
    def load(cls, file: Path) -> TableDescription:
        """Reads the file; `table` and `keys` become relative to the working directory.

        Raises:
            UserError: it is not TOML, or a key is missing, unknown or wrong.
        """
        return read_description(
            cls,
            file,
            what="a table of embeddings",
            way_out='Write a line such as table = "embeddings.npz".',
            paths=("table", "keys"),
        )


def describes_table(file: Path) -> bool:
    """Whether a TOML file has the key `table`; False if it cannot be read."""
    return "table" in peek_toml(file)


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingTable:
    """Embeddings of N images.

    Attributes:
        name: the path that the user gave.
        rows: row of each image by its key.
        embeddings: (N, D) float32, of unit length.
        sha256: hash of the model's name if the description has one, hash of the gallery model if
            the table is an index, else hash of keys and embeddings.
    """

    name: str
    rows: dict[str, int]
    embeddings: Floats
    sha256: str

    @classmethod
    def load(cls, path: Path) -> EmbeddingTable:
        """Reads a table's description, or a gallery index.

        Raises:
            UserError: a file cannot be read, or does not contain a usable embedding for each key.
        """
        if path.is_dir():
            return cls._of_index(GalleryIndex.load(path), str(path))
        described = TableDescription.load(path)
        if described.table.is_dir():
            return cls._of_index(GalleryIndex.load(described.table), str(path), described.model)
        suffix = described.table.suffix
        if suffix not in _READERS:
            raise unknown_choice("kind of table", suffix, _READERS)
        try:
            keys, embeddings = _READERS[suffix](described)
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            EOFError,
            csv.Error,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise UserError(
                f"{described.table} cannot be read as a table of embeddings: {error}.",
                f"Write it again with {_CONTENT[suffix]}.",
            ) from error
        return cls.of(keys, embeddings, name=str(path), model=described.model)

    @classmethod
    def of(
        cls, keys: Sequence[str], embeddings: NDArray[Any], *, name: str, model: str | None = None
    ) -> EmbeddingTable:
        """A table of embeddings, which are scaled to unit length.

        Args:
            keys: N keys of images.
            embeddings: (N, D).
            name: the path of the table, for reports and errors.
            model: name of the model, if the description has one.

        Raises:
            UserError: the numbers of keys and embeddings differ, a key occurs twice, or an
                embedding is zero or not finite.
        """
        again = "Write the table again with one embedding per image."
        values = np.asarray(embeddings, np.float32)
        if values.ndim != 2 or len(values) != len(keys) or not len(keys):
            raise UserError(
                f"The table {name} has {len(keys)} keys and embeddings of shape {values.shape}.",
                again,
            )
        rows = {key: row for row, key in enumerate(keys)}
        if len(rows) != len(keys):
            twice = next(key for row, key in enumerate(keys) if rows[key] != row)
            raise UserError(f"The table {name} contains the image {twice!r} twice.", again)
        lengths = np.linalg.norm(values, axis=1, keepdims=True)
        bad = int((~(np.isfinite(lengths) & (lengths > 0))).sum())
        if bad:
            raise UserError(
                f"{bad} of {len(keys)} embeddings in the table {name} are zero or not finite.",
                again,
            )
        unit = (values / lengths).astype(np.float32)
        tensors = {"embeddings": torch.from_numpy(unit)}
        content = {"model": model} if model else [list(keys), sha256_tensors(tensors)]
        return cls(name=name, rows=rows, embeddings=unit, sha256=sha256_json(content))

    @classmethod
    def _of_index(cls, index: GalleryIndex, name: str, model: str | None = None) -> EmbeddingTable:
        return cls(
            name=name,
            rows={key: row for row, key in enumerate(index.keys)},
            embeddings=index.embeddings,
            sha256=sha256_json({"model": model}) if model else index.manifest.gallery_sha256,
        )


def _npz(described: TableDescription) -> tuple[list[str], NDArray[Any]]:
    with np.load(described.table, allow_pickle=False) as file:
        return [str(key) for key in file["keys"]], file["embeddings"]


def _safetensors(described: TableDescription) -> tuple[list[str], NDArray[Any]]:
    tensors = read_tensors(described.table, what="a table of embeddings")
    if described.keys is None:
        raise ValueError("the description does not name a file of keys")
    return described.keys.read_text().splitlines(), tensors["embeddings"].float().numpy()


def _csv(described: TableDescription) -> tuple[list[str], NDArray[Any]]:
    with described.table.open(newline="") as file:
        lines = csv.reader(file)
        next(lines, None)
        keys, values = [], []
        for key, *numbers in lines:
            keys.append(key)
            values.append(np.array(numbers, np.float32))
    return keys, np.stack(values)


def _jsonl(described: TableDescription) -> tuple[list[str], NDArray[Any]]:
    with described.table.open() as file:
        documents = [json.loads(line) for line in file if line.strip()]
    values = [np.array(document["embedding"], np.float32) for document in documents]
    return [str(document["image"]) for document in documents], np.stack(values)


_READERS: dict[str, Callable[[TableDescription], tuple[list[str], NDArray[Any]]]] = {
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".csv": _csv,
    ".jsonl": _jsonl,
}
_CONTENT = {
    ".npz": "the arrays `keys` (N,) and `embeddings` (N, D), without pickled objects",
    ".safetensors": 'the tensor `embeddings` (N, D), and add keys = "keys.txt" to the description',
    ".csv": "a header and one line per image: its key and its numbers",
    ".jsonl": 'one line per image: {"image": key, "embedding": [numbers]}',
}
