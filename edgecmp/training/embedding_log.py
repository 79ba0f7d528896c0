"""EmbeddingLog: the gallery model's embeddings of views of the training images, kept in a file.

    checkpoint/views.bin    the hash of the settings, then one record per batch that was embedded

A record has a checksum and is only ever appended. A process that is killed at any moment loses the
last record at most, and what is left is complete batches, so that a resumed training embeds the
same images together as an undisturbed one.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.files import sha256_json
from edgecmp.storage import disk_errors

__all__ = ["EmbeddingLog"]

HEAD = struct.Struct("<III")
"""Of a record: the CRC-32 of all that follows, the view, and the number of images. Their indices in
int64 and their embeddings in float16 come after it."""


class EmbeddingLog:
    """Embeddings (D values each) of N images in K views, in float16; see `EmbeddingLog.opened`.

    Args:
        file: descriptor of the open file.
        path: of the file, for errors.
        settings: SHA-256 of everything that determines the embeddings.
        shape: K, N and D.
    """

    def __init__(self, file: int, path: Path, settings: bytes, shape: tuple[int, int, int]) -> None:
        self._file, self._path = file, path
        views, images, self._dim = shape
        self._places = np.full((views, images), -1, np.int64)
        self._size = len(settings)
        if os.pread(file, len(settings), 0) == settings:
            self._read_records()
        with disk_errors(path):
            os.ftruncate(file, self._size)
            os.pwrite(file, settings, 0)

    @classmethod
    @contextmanager
    def opened(
        cls, path: Path, settings: Mapping[str, Any], shape: tuple[int, int, int]
    ) -> Iterator[EmbeddingLog]:
        """Opens or makes the file; one of other settings is emptied.

        Args:
            path: of the file.
            settings: JSON values that determine the embeddings.
            shape: K, N and D.

        Raises:
            UserError: the file cannot be written.
        """
        digest = hashlib.sha256(sha256_json([dict(settings), shape]).encode()).digest()
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            yield cls(file, path, digest, shape)
        finally:
            os.close(file)

    def missing(self, view: int, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """The positions in `indices` (n,) of images without an embedding in this view."""
        return np.flatnonzero(self._places[view, indices] < 0)

    def append(
        self, view: int, indices: NDArray[np.int64], embeddings: NDArray[np.float32]
    ) -> None:
        """Writes the embeddings (n, D) of some images in a view.

        Raises:
            UserError: the disk is full; the file is as before.
        """
        body = indices.astype("<i8").tobytes() + embeddings.astype("<f2").tobytes()
        record = HEAD.pack(_checksum(view, len(indices), body), view, len(indices)) + body
        with disk_errors(self._path):
            try:
                written = 0
                while written < len(record):
                    written += os.pwrite(self._file, record[written:], self._size + written)
            except OSError:
                os.ftruncate(self._file, self._size)
                raise
        self._note(view, indices, self._size)
        self._size += len(record)

    def read(self, view: int, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """The embeddings (n, D) of images none of which is missing."""
        length = 2 * self._dim
        rows = [os.pread(self._file, length, place) for place in self._places[view, indices]]
        found = np.frombuffer(b"".join(rows), "<f2").reshape(len(indices), self._dim)
        return found.astype(np.float32)

    def sync(self) -> None:
        """Returns when the disk has everything; a checkpoint that relies on it may follow."""
        with disk_errors(self._path):
            os.fsync(self._file)

    def _note(self, view: int, indices: NDArray[np.int64], begin: int) -> None:
        """Remembers where the embeddings of a record are that begins at this byte."""
        first = begin + HEAD.size + 8 * len(indices)
        self._places[view, indices] = first + 2 * self._dim * np.arange(len(indices))

    def _read_records(self) -> None:
        """Finds the records up to the first that is incomplete or was changed."""
        end = os.fstat(self._file).st_size
        while len(head := os.pread(self._file, HEAD.size, self._size)) == HEAD.size:
            checksum, view, count = HEAD.unpack(head)
            length = count * (8 + 2 * self._dim)
            if self._size + HEAD.size + length > end:
                return
            body = os.pread(self._file, length, self._size + HEAD.size)
            if _checksum(view, count, body) != checksum:
                return
            self._note(view, np.frombuffer(body, "<i8", count).astype(np.int64), self._size)
            self._size += HEAD.size + length


def _checksum(view: int, count: int, body: bytes) -> int:
    """Of everything else in a record."""
    return zlib.crc32(body, zlib.crc32(struct.pack("<II", view, count)))
