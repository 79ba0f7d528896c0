"""Images in files: checked once when the data is opened, and decoded when they are needed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from edgecmp.data.image_set import Integers, Pixels
from edgecmp.data.prepared_cache import CACHE_BYTES, PreparedCache
from edgecmp.decoding import MAX_MEGAPIXELS, ImageError, decode, pillow_limits, upright_size
from edgecmp.errors import UserError, system_reason
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import progress

__all__ = ["FileImages", "ImageRecord", "check_files", "read_image"]

_WORKERS = min(4, os.cpu_count() or 1)


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
        camera: name of the camera that took the image; empty if it is not known.
    """

    path: Path
    key: str
    identity: str
    domain: str = ""
    split: str = ""
    box: tuple[float, float, float, float] | None = None
    box_of: tuple[int, int] | None = None
    camera: str = ""


def _open(record: ImageRecord, max_megapixels: float) -> Image.Image:
    """The decoded, upright image inside the record's box.

    Raises:
        ImageError: the file or the image cannot be read, or the box lies outside of it.
    """
    content = _content(record.path)
    with pillow_limits(max_megapixels):  # also of the crop
        image = decode(content, max_megapixels=max_megapixels)
        if record.box is not None:
            image = image.crop(_in_pixels(record.box, record.box_of or image.size, image.size))
    return image


def _check(record: ImageRecord, max_megapixels: float) -> str:
    """The SHA-256 of a record's file, whose image and box can be used.

    Raises:
        ImageError: as `_open`.
    """
    content = _content(record.path)
    size = upright_size(content, max_megapixels=max_megapixels)
    if record.box is not None:
        _in_pixels(record.box, record.box_of or size, size)
    return hashlib.sha256(content).hexdigest()


def _content(path: Path) -> bytes:
    """The bytes of a file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a device or a pipe may never end
            raise ImageError("it is not a file")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError("no such file") from error
    except OSError as error:
        raise ImageError(system_reason(error).lower()) from error
    except ValueError as error:  # a NUL in the name
        raise ImageError("no file can have that name") from error


def _in_pixels(
    box: tuple[float, float, float, float], box_of: tuple[int, int], size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """The box in whole pixels of an upright image: left, upper, right and lower side.

    Args:
        box: x1, y1, x2, y2 in an image of the size `box_of`.
        box_of: width and height.
        size: width and height of the image.
    """
    width, height = size
    across, down = box_of
    x1, x2 = (corner * (width / across) for corner in box[::2])
    y1, y2 = (corner * (height / down) for corner in box[1::2])
    left, upper = max(0, round(x1)), max(0, round(y1))
    right, lower = min(width, round(x2)), min(height, round(y2))
    if left >= right or upper >= lower:
        raise ImageError(f"the box {box} lies outside the {across}x{down} image")
    if right - left < 2 or lower - upper < 2:  # such as a box in other units than pixels
        raise ImageError(f"the box {box} covers only {right - left}x{lower - upper} pixels")
    return left, upper, right, lower


def check_files(
    records: Sequence[ImageRecord], *, max_megapixels: float = MAX_MEGAPIXELS
) -> tuple[list[str], dict[int, str]]:
    """Decodes every image once.

    Args:
        records: the images.
        max_megapixels: larger images count as unreadable.

    Returns:
        The SHA-256 of each file in the order of the records, empty for unreadable ones, and the
        reason for each unreadable record by its index.
    """

    def check(record: ImageRecord) -> tuple[str, str]:
        try:
            return _check(record, max_megapixels), ""
        except ImageError as error:
            return "", error.reason

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
        return _open(ImageRecord(path=path, key=str(path), identity=""), MAX_MEGAPIXELS)
    except ImageError as error:
        raise UserError(
            f"{path} cannot be read as an image: {error.reason}.", error.way_out
        ) from error


def _box_text(record: ImageRecord) -> str:
    """The box of a record for the fingerprint: the same file shows other pixels in another box."""
    return "" if record.box is None else f"{record.box} {record.box_of} "


class FileImages:
    """Images in files, decoded on demand; a bounded number of prepared images stays in memory.

    Args:
        records: the images, all of them readable.
        digests: the SHA-256 of each file.
        max_megapixels: as in `check_files`.
        cache_bytes: memory for prepared images, which is filled in the order of first use.
    """

    def __init__(
        self,
        records: Sequence[ImageRecord],
        digests: Sequence[str],
        *,
        max_megapixels: float = MAX_MEGAPIXELS,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._records = tuple(records)
        self.keys = tuple(record.key for record in records)
        lines = (
            f"{record.key} {_box_text(record)}{digest}\n"
            for record, digest in zip(records, digests, strict=True)
        )
        self.fingerprint = hashlib.sha256("".join(lines).encode()).hexdigest()
        self.shards: Integers | None = None
        self._max_megapixels = max_megapixels
        self._cache = PreparedCache(cache_bytes)

    def pixels(self, rows: Integers, preprocessing: Preprocessing) -> Pixels:
        """The images of `rows` (n,), prepared: (n, H, W, 3) uint8.

        Raises:
            UserError: a file that was readable when the data was opened no longer is.
        """
        return self._cache.pixels(
            rows, preprocessing, lambda row: preprocessing.fit(self.image(row))
        )

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
            return _open(record, self._max_megapixels)
        except ImageError as error:
            raise UserError(
                f"{record.path} can no longer be read: {error.reason}.",
                "Restore the file, then run the same command again.",
            ) from error
