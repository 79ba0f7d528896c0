"""The aligned faces of an IJB-C folder, decoded when they are asked for."""

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
    """N faces, cut out of their images and turned upright by their five points.

    Args:
        data: what `read_ijbc` gives.
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
            UserError: a file is gone, or not a whole image.
        """
        with ThreadPoolExecutor(_WORKERS) as pool:
            return list(pool.map(self._read, rows))

    def _read(self, row: int) -> Image.Image:
        return align(_open(self._paths[row]), self._transforms[row])

    def fingerprint(self, rows: Iterable[int]) -> str:
        """SHA-256 over what the faces of `rows` are made from.

        A file stands there with its name, size and time of change, as for `make`, since reading
        hundreds of thousands of them to hash their bytes would take as long as embedding them.
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
    except Exception as error:  # Pillow raises a dozen kinds for files that are damaged
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return UserError(
        f"{path} cannot be read as an image: {reason}.", "Copy it again from the IJB-C release."
    )
