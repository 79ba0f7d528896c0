"""A gallery that is available only as a table of embeddings by image, without its network.

A small TOML file describes it:

    table = "embeddings.npz"   # relative to this file
    keys = "keys.txt"          # for .npy and .safetensors: the images' keys, one per line
    model = "resnet101 of May" # optional: a name for the model, so that images can be added later

| table | content |
|---|---|
| .npz | arrays `keys` (N,) and `embeddings` (N, D) |
| .npy | the embeddings (N, D) |
| .safetensors | tensor `embeddings` (N, D) |
| .csv, .tsv | one line per image: its key and D numbers, with or without a header |
| .jsonl | one line per image: `{"image": key, "embedding": [...]}` |
| .parquet | a column `image` and a list column `embedding`, or one column per dimension |
| a folder | a gallery index, as `edgecmp gallery build` writes it |

Keys are those of the data set: the path of an image inside its folder or manifest.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from edgecmp.documents import peek_toml, read_description
from edgecmp.errors import UserError
from edgecmp.files import sha256_json, sha256_tensors
from edgecmp.gallery.index import GalleryIndex
from edgecmp.gallery.table_files import read_table
from edgecmp.networks.collapse import warn_if_collapsed

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
        """Reads a table's description, or a gallery index; says so if the embeddings are all alike.

        Raises:
            UserError: a file cannot be read, or does not contain a usable embedding for each key.
        """
        if path.is_dir():
            return cls._of_index(GalleryIndex.load(path), str(path))
        described = TableDescription.load(path)
        if described.table.is_dir():
            if described.keys is not None:
                raise UserError(
                    f"A gallery index contains its keys, so keys in {path} has no effect.",
                    "Remove keys from the description.",
                )
            return cls._of_index(GalleryIndex.load(described.table), str(path), described.model)
        content = read_table(described.table, described.keys)
        table = cls.of(
            content.keys,
            content.embeddings,
            name=str(path),
            model=described.model,
            lines=content.lines,
        )
        warn_if_collapsed(table.embeddings, table.name)
        return table

    @classmethod
    def of(
        cls,
        keys: Sequence[str],
        embeddings: NDArray[Any],
        *,
        name: str,
        model: str | None = None,
        lines: Sequence[int] | None = None,
    ) -> EmbeddingTable:
        """A table of embeddings, which are scaled to unit length.

        Args:
            keys: N keys of images.
            embeddings: (N, D).
            name: the path of the table, for reports and errors.
            model: name of the model, if the description has one.
            lines: the line of each key, if the table is text.

        Raises:
            UserError: the numbers of keys and embeddings differ, a key is empty or occurs twice, or
                an embedding is zero or not finite.
        """
        again = "Write the table again with one embedding per image."
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused below as infinite
            values = np.asarray(embeddings, np.float32)
        if values.ndim != 2 or len(values) != len(keys) or not len(keys):
            raise UserError(
                f"The table {name} has {len(keys)} keys and embeddings of shape {values.shape}.",
                again,
            )

        def place(row: int) -> str:
            return f"row {row + 1}" if lines is None else f"line {lines[row]}"

        rows = {key: row for row, key in enumerate(keys)}
        if "" in rows:
            raise UserError(f"The table {name} has an empty key in {place(rows[''])}.", again)
        if len(rows) != len(keys):
            twice = next(row for row, key in enumerate(keys) if rows[key] != row)
            raise UserError(
                f"The table {name} contains the image {keys[twice]!r} twice, in {place(twice)} and "
                f"{place(rows[keys[twice]])}.",
                again,
            )
        unit, usable = _unit(values)
        if not usable.all():
            first = int(np.argmin(usable))
            raise UserError(
                f"{np.count_nonzero(~usable)} of {len(keys)} embeddings in the table {name} are "
                f"zero or not finite, the first in {place(first)}, of {keys[first]!r}.",
                again,
            )
        tensors = {"embeddings": torch.from_numpy(unit)}
        content = {"model": model} if model else [list(keys), sha256_tensors(tensors)]
        return cls(name=name, rows=rows, embeddings=unit, sha256=sha256_json(content))

    def find(self, keys: Sequence[str]) -> NDArray[np.int64]:
        """The row of each key, (n,) int64; -1 for a key that the table does not have.

        Keys that are the same but for the composition of their letters (macOS decomposes them) or
        for backslashes as separators are found too, unless several keys of the table qualify.
        """
        found = np.array([self.rows.get(key, -1) for key in keys], np.int64)
        missing = np.flatnonzero(found < 0)
        if len(missing):
            odd: dict[str, int] = {}
            for key, row in self.rows.items():
                if not key.isascii() or "\\" in key:
                    plain = _plain(key)
                    odd[plain] = -1 if plain in odd else row
            for place in missing.tolist():
                plain = _plain(keys[place])
                found[place] = self.rows.get(plain, odd.get(plain, -1))
        return found

    def embeddings_of(self, keys: Sequence[str], *, data: str) -> Floats:
        """The embeddings of images, (n, D).

        Args:
            keys: of the images.
            data: name of their data, for errors.

        Raises:
            UserError: the table does not have some of them; the error compares the keys.
        """
        found = self.find(keys)
        if (found >= 0).all():
            values: Floats = self.embeddings[found]
            return values
        missing = [keys[place] for place in np.flatnonzero(found < 0).tolist()]
        mine, theirs = self._nearest(missing, nothing_found=len(missing) == len(keys))
        what = (
            f"{self.name} has no embedding for {len(missing):,} of the {len(keys):,} images of "
            f"{data} that this command needs, such as {mine!r}"
        )
        if theirs is None:
            raise UserError(f"{what}.", "Add them to the table, or name the gallery model itself.")
        raise UserError(
            f"{what}; the table has {theirs!r}.",
            "Write the keys of the table as those of the data: the path of an image inside its "
            "folder or manifest.",
        )

    def _nearest(self, missing: Sequence[str], *, nothing_found: bool) -> tuple[str, str | None]:
        """A missing key, and the key of the table that is probably meant, if there is one."""
        wanted = {PurePosixPath(_plain(key)).name: key for key in reversed(missing)}
        for key in self.rows:
            name = PurePosixPath(_plain(key)).name
            if name not in wanted:
                continue
            one, other = _plain(key), _plain(wanted[name])
            if nothing_found or one.endswith(other) or other.endswith(one):
                return wanted[name], key
        return missing[0], next(iter(self.rows)) if nothing_found else None

    @classmethod
    def _of_index(cls, index: GalleryIndex, name: str, model: str | None = None) -> EmbeddingTable:
        return cls(
            name=name,
            rows={key: row for row, key in enumerate(index.keys)},
            embeddings=index.embeddings,
            sha256=sha256_json({"model": model}) if model else index.manifest.gallery_sha256,
        )


def _plain(key: str) -> str:
    """The key with composed letters and with slashes as separators."""
    return unicodedata.normalize("NFC", key).replace("\\", "/")


def _unit(values: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """The rows scaled to unit length (N, D), and which are finite and not zero (N,)."""
    with np.errstate(all="ignore"):
        lengths = np.linalg.norm(values, axis=1, keepdims=True)
        extreme = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
        if len(extreme):  # the squares of very large and very small numbers leave float32
            values = values.copy()
            wide = values[extreme].astype(np.float64)
            values[extreme] = wide / np.abs(wide).max(axis=1, keepdims=True)
            lengths[extreme] = np.linalg.norm(values[extreme], axis=1, keepdims=True)
        usable = np.isfinite(lengths) & (lengths > 0)
        return (values / lengths).astype(np.float32), usable[:, 0]
