"""The aligned faces of an IJB-C folder, decoded on demand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image, ImageOps

from edgecmp.data.ijbc.align import align, similarity
from edgecmp.data.ijbc.layout import Ijbc
from edgecmp.errors import UserError

__all__ = ["AlignedFaces"]

_WORKERS = 4


class AlignedFaces:
    """N faces, each aligned by the five points in its image.

    Args:
        data: the result of `read_ijbc`.
    """

    def __init__(self, data: Ijbc) -> None:
        self._paths = [data.images / name for name in data.faces.names]
        self._points = data.faces.points
        self._transforms = similarity(data.faces.points)  # (N, 2, 3)

    def __len__(self) -> int:
        return len(self._paths)

    def read(self, rows: Iterable[int]) -> list[Image.Image]:
        """The faces of `rows`, 112 x 112 pixels each, RGB.

        Raises:
            UserError: a file is missing, or is not a complete image.
        """
        with ThreadPoolExecutor(_WORKERS) as pool:
            return list(pool.map(self._read, rows))

    def _read(self, row: int) -> Image.Image:
        return align(_open(self._paths[row]), self._transforms[row])

    def fingerprint(self, rows: Iterable[int]) -> str:
        """SHA-256 over the files and points that the faces of `rows` are made from.

        A file counts with its name, size and time of modification, as in `make`: hashing the
        bytes of hundreds of thousands of files would take as long as embedding the faces.

        Raises:
            UserError: a file is missing.
        """
        digest = hashlib.sha256()
        for row in rows:
            path = self._paths[row]
            try:
                facts = path.stat()
            except OSError as error:
                raise _unreadable(path, error) from error
            digest.update(f"{path.name}\t{facts.st_size}\t{facts.st_mtime_ns}\n".encode())
            digest.update(self._points[row].tobytes())
        return digest.hexdigest()


def _open(path: Path) -> Image.Image:
    """The decoded, upright image."""
    try:
        with Image.open(path) as stored:
            return ImageOps.exif_transpose(stored).convert("RGB")
    except Exception as error:  # Pillow raises many types for damaged files
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return UserError(
        f"{path} cannot be read as an image: {reason}.", "Copy it again from the IJB-C release."
    )
