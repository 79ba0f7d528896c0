"""The aligned faces of an IJB-C folder, decoded on demand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from edgecmp.data.ijbc.align import align, similarity
from edgecmp.data.ijbc.layout import Ijbc
from edgecmp.data.image_files import read_image
from edgecmp.errors import UserError, system_reason

__all__ = ["AlignedFaces"]

_WORKERS = 4
_WAY_OUT = "Copy it again from the IJB-C release."


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
        path = self._paths[row]
        try:
            return align(read_image(path), self._transforms[row])
        except UserError as error:
            raise UserError(error.what, _WAY_OUT) from error

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
                raise UserError(
                    f"{path} cannot be read as an image: {system_reason(error).lower()}.", _WAY_OUT
                ) from error
            digest.update(f"{path.name}\t{facts.st_size}\t{facts.st_mtime_ns}\n".encode())
            digest.update(self._points[row].tobytes())
        return digest.hexdigest()
