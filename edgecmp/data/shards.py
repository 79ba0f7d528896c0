"""A data set in shards: tar files that webdataset can read, and an index that opens quickly.

    DIR/shards.json       name, counts, domains, and the shards with their sizes and hashes
    DIR/rows.npz          place, identity and domain of each image
    DIR/train-00000.tar   number.jpg or .png, and number.json (key, identity, domain, split)

The images are decoded, cropped and shrunk when the shards are written, so that reading is fast, and
only the requested images are read. Rows have the order of the original data, whereas the training
shards contain the images in a random order: a few shards at a time are a random sample.
"""

from __future__ import annotations

import functools
import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict

from edgecmp.data.dataset import Dataset
from edgecmp.data.image_set import ImageSet, Integers, Pixels
from edgecmp.data.preparing import prepared_in_parallel
from edgecmp.data.split import SPLITS
from edgecmp.decoding import ImageError, decode
from edgecmp.documents import parse_document
from edgecmp.errors import UserError, system_reason, unknown_choice
from edgecmp.files import read_json, seal_of, sha256_file
from edgecmp.preprocessing import Preprocessing

__all__ = [
    "CAMERA",
    "CHECKSUM",
    "INDEX",
    "ROWS",
    "ROW_ARRAYS",
    "Shard",
    "ShardIndex",
    "check_shards",
    "is_shards",
    "open_shards",
    "read_index",
]

COPY_AGAIN = "Copy the shards again, or write them with `edgecmp data shard`."
INDEX = "shards.json"
ROWS = "rows.npz"
ROW_ARRAYS = ("split", "identity", "domain", "shard", "offset", "size", "keys", "identity_names")
CAMERA = "camera"
"""The array of rows.npz that only data with cameras has."""
CHECKSUM = "crc32"
"""The array of rows.npz that shards of version 1 lack."""


class Shard(BaseModel):
    """One tar file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    split: str
    images: int
    bytes: int
    sha256: str


class ShardIndex(BaseModel):
    """The document in shards.json.

    Attributes:
        name: of the original data.
        source_fingerprint: of the original data.
        images: number of images by split.
        identities: number of identities by split.
        longest_side: bound of the longer side of the images in pixels; None: original sizes.
        queries_note: of the original data (see `Dataset`).
        rows_sha256: of rows.npz.
        fingerprint: SHA-256 over the hashes of rows.npz and the shards.
        provenance: the versions and the command that made the shards.
        content_sha256: of all other fields; None in version 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1, 2] = 2
    name: str
    source_fingerprint: str
    images: dict[str, int]
    identities: dict[str, int]
    domain_names: tuple[str, ...]
    gallery_domain: str | None
    queries_note: str = ""
    longest_side: int | None
    lossless: bool
    shards: tuple[Shard, ...]
    rows_sha256: str
    fingerprint: str
    provenance: dict[str, str]
    content_sha256: str | None = None


class ShardImages:
    """Images in shards, read by their offset and decoded on demand.

    Args:
        folder: the folder of the shards.
        index: its shards.json.
        rows: the arrays of rows.npz.
    """

    def __init__(self, folder: Path, index: ShardIndex, rows: dict[str, Integers]) -> None:
        self.fingerprint = index.fingerprint
        self._files = tuple(folder / shard.file for shard in index.shards)
        self._shard, self._offset, self._size = rows["shard"], rows["offset"], rows["size"]
        self._checksum = rows.get(CHECKSUM)
        self._keys = rows["keys"].tobytes()

    @functools.cached_property
    def keys(self) -> tuple[str, ...]:
        """A stable, readable id of each image."""
        return tuple(json.loads(self._keys))

    @property
    def shards(self) -> Integers | None:
        """(N,) index of the shard that contains each image."""
        return self._shard

    def pixels(self, rows: Integers, preprocessing: Preprocessing) -> Pixels:
        """The images of `rows` (n,), prepared: (n, H, W, 3) uint8.

        Raises:
            UserError: a shard was removed, truncated or changed.
        """
        contents = self._read(rows)
        return prepared_in_parallel(
            len(rows),
            lambda place: preprocessing.fit(self._decode(int(rows[place]), contents[place])),
            preprocessing,
        )

    def file(self, row: int) -> Path | None:
        """None: a shard contains many images."""
        return None

    def image(self, row: int) -> Image.Image:
        """One image as it is stored."""
        return self._decode(row, self._read(np.array([row]))[0])

    def _read(self, rows: Integers) -> list[bytes]:
        """The encoded file of each image; every shard is opened once and read front to back."""
        contents = [b""] * len(rows)
        shards = self._shard[rows]
        for shard in np.unique(shards):
            places = np.flatnonzero(shards == shard)
            places = places[np.argsort(self._offset[rows[places]])]
            try:
                with self._files[shard].open("rb", buffering=0) as file:
                    for place in places:
                        offset, size = self._offset[rows[place]], self._size[rows[place]]
                        contents[place] = os.pread(file.fileno(), int(size), int(offset))
            except OSError as error:
                raise UserError(
                    f"{self._files[shard]} cannot be read: {system_reason(error)}.",
                    "Restore the shard, or write all shards again with `edgecmp data shard`.",
                ) from error
        return contents

    def _decode(self, row: int, content: bytes) -> Image.Image:
        shard = self._files[self._shard[row]]
        if self._checksum is not None and zlib.crc32(content) != self._checksum[row]:
            raise _damaged(shard, f"the image at byte {self._offset[row]} was changed")
        try:
            return decode(content)
        except ImageError as error:
            raise _damaged(shard, f"no image can be read at byte {self._offset[row]}") from error


def is_shards(path: Path) -> bool:
    """Whether the path is a folder of shards."""
    return (path / INDEX).is_file()


def open_shards(
    folder: Path, *, name: str | None = None, gallery_domain: str | None = None
) -> Dataset:
    """Opens the dataset in a folder of shards; its images are read on demand.

    Args:
        folder: the folder.
        name: name of the data in messages; None: the path.
        gallery_domain: the domain whose images form the gallery; None: that of the original data.

    Raises:
        UserError: the index or a shard is missing or damaged, or there is no such domain.
    """
    index = read_index(folder)
    rows = _read_rows(folder, index)
    _check_sizes(folder, index)
    named = [domain for domain in index.domain_names if domain]
    if gallery_domain is not None and gallery_domain not in named:
        raise unknown_choice("gallery domain", gallery_domain, named)
    source = ShardImages(folder, index, rows)
    identity_names = json.loads(rows["identity_names"].tobytes())
    name = name or str(folder)

    def images_of(split: str) -> ImageSet:
        chosen = np.flatnonzero(rows["split"] == SPLITS.index(split))
        return ImageSet(
            name=name,
            identities=rows["identity"][chosen].astype(np.int64),
            identity_names=tuple(identity_names[split]),
            domains=rows["domain"][chosen].astype(np.int16),
            domain_names=index.domain_names,
            source=source,
            rows=chosen,
            cameras=rows[CAMERA][chosen].astype(np.int64) if CAMERA in rows else None,
        )

    return Dataset(
        name=name,
        train=images_of("train"),
        validation=images_of("validation"),
        test=images_of("test"),
        gallery_domain=gallery_domain or index.gallery_domain,
        queries_note=index.queries_note,
    )


def _check_sizes(folder: Path, index: ShardIndex) -> None:
    """Refuses shards that are missing or do not have the size in the index."""
    for shard in index.shards:
        path = folder / shard.file
        try:
            size = path.stat().st_size
        except OSError as error:
            raise _damaged(path, "the file does not exist") from error
        if size != shard.bytes:
            raise _damaged(path, f"it has {size} bytes instead of {shard.bytes}")


def check_shards(folder: Path) -> None:
    """Reads every byte and compares the hashes, which `open_shards` omits for speed.

    Raises:
        UserError: a file is missing or was changed.
    """
    open_shards(folder)
    for shard in read_index(folder).shards:
        if sha256_file(folder / shard.file) != shard.sha256:
            raise _damaged(folder / shard.file, f"its SHA-256 is not the one in {INDEX}")


def read_index(folder: Path) -> ShardIndex:
    """Reads the shards.json of a folder.

    Raises:
        UserError: it cannot be read, is damaged or has another version.
    """
    path = folder / INDEX
    document = read_json(path, what="an index of shards")
    if document.get("version") not in (1, 2):
        raise UserError(
            f"{path} has version {document.get('version')}, but this edgecmp reads 1 and 2.",
            "Write the shards again with `edgecmp data shard`.",
        )
    index = parse_document(ShardIndex, document, refusal=f"{path} is damaged", way_out=COPY_AGAIN)
    sealed = index.version > 1 or index.content_sha256 is not None
    if sealed and index.content_sha256 != seal_of(document):
        raise _damaged(path, "it was changed after it was written")
    return index


def _read_rows(folder: Path, index: ShardIndex) -> dict[str, Integers]:
    path = folder / ROWS
    try:
        if sha256_file(path) != index.rows_sha256:
            raise _damaged(path, f"its SHA-256 is not the one in {INDEX}")
        with np.load(path, allow_pickle=False) as file:
            return {
                name: file[name] for name in (*ROW_ARRAYS, *({CAMERA, CHECKSUM} & {*file.files}))
            }
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, why: str) -> UserError:
    return UserError(f"{path} is damaged: {why}.", COPY_AGAIN)
