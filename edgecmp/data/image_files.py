"""Images in files: checked once when the data is opened, and decoded when they are needed."""

from __future__ import annotations

import hashlib
import io
import os
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from edgecmp.data.image_set import Integers, Pixels
from edgecmp.errors import UserError
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import progress

__all__ = ["CACHE_BYTES", "FileImages", "ImageRecord", "check_files", "read_image"]

CACHE_BYTES = 512 * 2**20
"""Memory for prepared images; images that do not fit are decoded again each time."""

_WORKERS = min(4, os.cpu_count() or 1)
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    Image.DecompressionBombError,
)
"""What Pillow raises for files that are not images, are truncated or are unreasonably large."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRecord:
    """One labelled image of the user's data.

    Args:
        path: the file.
        key: a readable id: the path as the user wrote it, and the box.
        identity: the person or object in the image.
        domain: such as "shop" or "user"; empty if the data has no domains.
        split: "train", "validation", "test", or empty if the data does not assign splits.
        box: x1, y1, x2, y2 in pixels of the upright image; None: the complete image.
        box_of: width and height in pixels of the image that the box refers to, if the stored image
            may have another size; None: those of the stored image.
    """

    path: Path
    key: str
    identity: str
    domain: str = ""
    split: str = ""
    box: tuple[float, float, float, float] | None = None
    box_of: tuple[int, int] | None = None


def _open(record: ImageRecord) -> tuple[Image.Image, str]:
    """The decoded, upright image inside the record's box, and the SHA-256 of its file.

    Raises:
        OSError, SyntaxError, ...: one of `_BROKEN`.
    """
    content = record.path.read_bytes()
    with Image.open(io.BytesIO(content)) as stored:
        stored.load()
        image = ImageOps.exif_transpose(stored)
    if record.box is not None:
        width, height = image.size
        across, down = record.box_of or (width, height)
        x1, x2 = (corner * (width / across) for corner in record.box[::2])
        y1, y2 = (corner * (height / down) for corner in record.box[1::2])
        left, upper = max(0, round(x1)), max(0, round(y1))
        right, lower = min(width, round(x2)), min(height, round(y2))
        if left >= right or upper >= lower:
            raise ValueError(f"the box {record.box} lies outside the {across}x{down} image")
        image = image.crop((left, upper, right, lower))
    return image, hashlib.sha256(content).hexdigest()


def _reason(error: BaseException) -> str:
    """Why an image cannot be read, in a few words."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def check_files(records: Sequence[ImageRecord]) -> tuple[list[str], dict[int, str]]:
    """Decodes every image once.

    Returns:
        The SHA-256 of each file in the order of the records, empty for unreadable ones, and the
        reason for each unreadable record by its index.
    """

    def check(record: ImageRecord) -> tuple[str, str]:
        try:
            return _open(record)[1], ""
        except _BROKEN as error:
            return "", _reason(error)

    digests, broken = [], {}
    with (
        progress("Checking images", total=len(records), unit="image") as bar,
        ThreadPoolExecutor(_WORKERS) as pool,
    ):
        for place, (digest, reason) in enumerate(pool.map(check, records)):
            digests.append(digest)
            if reason:
                broken[place] = reason
            bar.advance()
    return digests, broken


def read_image(path: Path) -> Image.Image:
    """One image, upright as its EXIF data says.

    Raises:
        UserError: the file is missing, or not a complete image.
    """
    try:
        return _open(ImageRecord(path=path, key=str(path), identity=""))[0]
    except _BROKEN as error:
        raise UserError(
            f"{path} cannot be read as an image: {_reason(error)}.",
            "Name an image file.",
        ) from error


class FileImages:
    """Images in files, decoded on demand; a bounded number of prepared images stays in memory.

    Args:
        records: the images, all of them readable.
        digests: the SHA-256 of each file.
        cache_bytes: memory for prepared images, which is filled in the order of first use.
    """

    def __init__(
        self,
        records: Sequence[ImageRecord],
        digests: Sequence[str],
        *,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._records = tuple(records)
        self.keys = tuple(record.key for record in records)
        lines = (f"{key} {digest}\n" for key, digest in zip(self.keys, digests, strict=True))
        self.fingerprint = hashlib.sha256("".join(lines).encode()).hexdigest()
        self.shards: Integers | None = None
        self._cache_bytes = cache_bytes
        self._cached_for = ""
        self._cache: dict[int, Pixels] = {}

    def pixels(self, rows: Integers, preprocessing: Preprocessing) -> Pixels:
        """The images of `rows` (n,), prepared: (n, S, S, 3) uint8.

        Raises:
            UserError: a file that was readable when the data was opened no longer is.
        """
        side = preprocessing.input_size
        if self._cached_for != preprocessing.fingerprint:
            self._cache.clear()
            self._cached_for = preprocessing.fingerprint
        room = self._cache_bytes // (side * side * 3)
        prepared = np.empty((len(rows), side, side, 3), np.uint8)

        def prepare(place: int) -> None:
            row = int(rows[place])
            image = self._cache.get(row)
            prepared[place] = self._prepare(row, preprocessing) if image is None else image

        with ThreadPoolExecutor(_WORKERS) as pool:
            for _ in pool.map(prepare, range(len(rows))):
                pass
        for place, row in enumerate(rows.tolist()):
            if len(self._cache) >= room:
                break
            if row not in self._cache:
                self._cache[row] = prepared[place].copy()
        return prepared

    def _prepare(self, row: int, preprocessing: Preprocessing) -> Pixels:
        return preprocessing.fit(self.image(row))

    def file(self, row: int) -> Path | None:
        """The file of one image."""
        return self._records[row].path

    def image(self, row: int) -> Image.Image:
        """One image, upright and cropped to its box.

        Raises:
            UserError: a file that was readable when the data was opened no longer is.
        """
        record = self._records[row]
        try:
            return _open(record)[0]
        except _BROKEN as error:
            raise UserError(
                f"{record.path} can no longer be read: {_reason(error)}.",
                "Restore the file, then run the same command again.",
            ) from error
