"""A data set in shards: tar files that webdataset reads, and an index by which they open at once.

    DIR/shards.json       what it is: name, counts, domains, shards with sizes and hashes
    DIR/rows.npz          where each image lies and what is on it
    DIR/train-00000.tar   number.jpg or .png, and number.json (key, identity, domain, split)

The images are decoded once, cut and shrunk when the shards are written, so that reading is fast;
only what is asked for is read. Rows keep the order of the data that was written, while the training
shards hold their images shuffled: reading some shards at a time gives a fair mix.
"""

from __future__ import annotations

import functools
import io
import json
import multiprocessing
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict

from edgecmp.data.dataset import Dataset
from edgecmp.data.image_set import ImageSet, Integers, Pixels
from edgecmp.data.split import SPLITS
from edgecmp.documents import parse_document
from edgecmp.errors import UserError, unknown_choice
from edgecmp.files import read_json, sha256_file
from edgecmp.preprocessing import Preprocessing

__all__ = [
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
_THREADS = min(4, os.cpu_count() or 1)


class Shard(BaseModel):
    """One tar file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    split: str
    images: int
    bytes: int
    sha256: str


class ShardIndex(BaseModel):
    """shards.json.

    Attributes:
        name: of the data that was written, which had this `source_fingerprint`.
        images: of each split; so are `identities`.
        longest_side: of the images in pixels; None: as they were.
        rows_sha256: of rows.npz.
        fingerprint: SHA-256 over the hashes of rows and shards.
        provenance: the versions and the command that made it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    name: str
    source_fingerprint: str
    images: dict[str, int]
    identities: dict[str, int]
    domain_names: tuple[str, ...]
    gallery_domain: str | None
    longest_side: int | None
    lossless: bool
    shards: tuple[Shard, ...]
    rows_sha256: str
    fingerprint: str
    provenance: dict[str, str]


class ShardImages:
    """Images inside of shards, read by place and decoded when they are asked for.

    Args:
        folder: where the shards lie.
        index: what they hold.
        rows: the arrays of rows.npz.
    """

    def __init__(self, folder: Path, index: ShardIndex, rows: dict[str, Integers]) -> None:
        self.fingerprint = index.fingerprint
        self._files = tuple(folder / shard.file for shard in index.shards)
        self._shard, self._offset, self._size = rows["shard"], rows["offset"], rows["size"]
        self._keys = rows["keys"].tobytes()

    @functools.cached_property
    def keys(self) -> tuple[str, ...]:
        """A stable, readable id of each image."""
        return tuple(json.loads(self._keys))

    @property
    def shards(self) -> Integers | None:
        """(N,) the shard that each image lies in."""
        return self._shard

    def pixels(self, rows: Integers, preprocessing: Preprocessing) -> Pixels:
        """The images of `rows` (n,), prepared: (n, S, S, 3) uint8.

        Raises:
            UserError: a shard was removed, truncated or changed.
        """
        side = preprocessing.input_size
        prepared = np.empty((len(rows), side, side, 3), np.uint8)
        contents = self._read(rows)

        def prepare(place: int) -> None:
            prepared[place] = preprocessing.fit(self._decode(int(rows[place]), contents[place]))

        if multiprocessing.parent_process() is not None:  # a worker beside others: one core is its
            for place in range(len(rows)):
                prepare(place)
            return prepared
        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in pool.map(prepare, range(len(rows))):
                pass
        return prepared

    def image(self, row: int) -> Image.Image:
        """One image as it is stored."""
        return self._decode(row, self._read(np.array([row]))[0])

    def _read(self, rows: Integers) -> list[bytes]:
        """The file of each image; every shard is opened once and read from front to back."""
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
                reason = os.strerror(error.errno) if error.errno else str(error)
                raise UserError(
                    f"{self._files[shard]} cannot be read: {reason}.", "Put the shard back."
                ) from error
        return contents

    def _decode(self, row: int, content: bytes) -> Image.Image:
        try:
            with Image.open(io.BytesIO(content)) as image:
                image.load()
                return image
        except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
            shard = self._files[self._shard[row]]
            raise _damaged(shard, f"an image at byte {self._offset[row]} is none") from error


def is_shards(path: Path) -> bool:
    """Whether it is a folder of shards."""
    return (path / INDEX).is_file()


def open_shards(
    folder: Path, *, name: str | None = None, gallery_domain: str | None = None
) -> Dataset:
    """The dataset that was written to `folder`; its training images stream.

    Args:
        name: what it is called in messages; its path by default.
        gallery_domain: the domain whose images form the gallery; None: as it was written.

    Raises:
        UserError: the index or a shard is missing or damaged, or there is no such domain.
    """
    index = read_index(folder)
    rows = _read_rows(folder, index)
    for shard in index.shards:
        path = folder / shard.file
        try:
            size = path.stat().st_size
        except OSError as error:
            raise _damaged(path, "there is no such file") from error
        if size != shard.bytes:
            raise _damaged(path, f"it holds {size} bytes instead of {shard.bytes}")
    named = [domain for domain in index.domain_names if domain]
    if gallery_domain is not None and gallery_domain not in named:
        raise unknown_choice("gallery domain", gallery_domain, named)
    source = ShardImages(folder, index, rows)
    identity_names = json.loads(rows["identity_names"].tobytes())
    parts = {}
    for number, split in enumerate(SPLITS):
        chosen = np.flatnonzero(rows["split"] == number)
        parts[split] = ImageSet(
            name=name or str(folder),
            identities=rows["identity"][chosen].astype(np.int64),
            identity_names=tuple(identity_names[split]),
            domains=rows["domain"][chosen].astype(np.int16),
            domain_names=index.domain_names,
            source=source,
            rows=chosen,
        )
    return Dataset(
        name=name or str(folder),
        gallery_domain=gallery_domain or index.gallery_domain,
        **parts,
    )


def check_shards(folder: Path) -> None:
    """Reads every byte and compares the hashes: what `open_shards` leaves out for speed.

    Raises:
        UserError: a file is missing, or not the one that was written.
    """
    open_shards(folder)
    for shard in read_index(folder).shards:
        if sha256_file(folder / shard.file) != shard.sha256:
            raise _damaged(folder / shard.file, "it is not the file that was written")


def read_index(folder: Path) -> ShardIndex:
    """What a folder of shards says it holds.

    Raises:
        UserError: its shards.json cannot be read, or is none.
    """
    path = folder / INDEX
    document = read_json(path, what="an index of shards")
    if document.get("version") != 1:
        raise UserError(
            f"{path} is of version {document.get('version')}, this edgecmp reads version 1.",
            "Write the shards again with `edgecmp data shard`.",
        )
    return parse_document(ShardIndex, document, refusal=f"{path} is damaged", way_out=COPY_AGAIN)


def _read_rows(folder: Path, index: ShardIndex) -> dict[str, Integers]:
    path = folder / ROWS
    try:
        if sha256_file(path) != index.rows_sha256:
            raise _damaged(path, "it is not the file that was written")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in ROW_ARRAYS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, why: str) -> UserError:
    return UserError(f"{path} is damaged: {why}.", COPY_AGAIN)
