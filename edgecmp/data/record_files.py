"""Reads record files as insightface distributes MS1M and Glint: train.rec with train.idx.

If record 0 has two labels a and b, records 1 to a - 1 are images, and records a to b - 1 are the
identities, each with the range of its images as labels. Otherwise all records are images. The label
of an image (the first one, if it has several) is the number of its identity; an image with a
negative one has no identity. `edgecmp.data.record_io` describes the container.

Nothing is decoded when the data is opened, and only the requested images are read.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgecmp.data.dataset import Dataset
from edgecmp.data.image_set import ImageSet, Integers, Pixels
from edgecmp.data.preparing import prepared_in_parallel
from edgecmp.data.record_io import RecordFile, split_record
from edgecmp.data.record_labels import read_labels, sample_of
from edgecmp.data.split import SPLITS, split_identities
from edgecmp.data.user_dataset import OnBadImage
from edgecmp.decoding import MAX_MEGAPIXELS, ImageError, decode
from edgecmp.errors import UserError
from edgecmp.files import sha256_file
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import progress, say
from edgecmp.wording import counted, named

__all__ = ["RecordImages", "is_record_file", "open_record_file"]

_HASHED_WHOLE = 2**28
"""A file of at most this many bytes is hashed completely for the fingerprint of its images."""

_AT_ONCE = 256
_NO_IMAGE = 'Set on_bad_image = "skip" in a .toml description of the data to leave such images out.'


class RecordImages:
    """Images in a record file, read by their place and decoded on demand.

    Args:
        file: the record file.
        keys: (N,) int64, the records that are images.
        labels: (N,) int64, the label of each of them.
        max_megapixels: larger images cannot be read.
    """

    def __init__(
        self,
        file: RecordFile,
        keys: NDArray[np.int64],
        labels: NDArray[np.int64],
        *,
        max_megapixels: float = MAX_MEGAPIXELS,
    ) -> None:
        self._file = file
        self._keys, self._labels = keys, labels
        self._places = file.places_of(keys)
        self._max_megapixels = max_megapixels
        self.fingerprint = _fingerprint(file)
        self.shards: Integers | None = np.zeros(len(keys), np.int8)

    @functools.cached_property
    def keys(self) -> tuple[str, ...]:
        """The name of the file and the key of each record: "train.rec/17"."""
        return tuple(f"{self._file.path.name}/{key}" for key in self._keys.tolist())

    def pixels(self, rows: Integers, preprocessing: Preprocessing) -> Pixels:
        """The images of `rows` (n,), prepared: (n, H, W, 3) uint8.

        Raises:
            UserError: the file was changed, or a record has no image.
        """
        contents = self._read(rows)

        def prepare(place: int) -> Pixels:
            return preprocessing.fit(self._decode(int(rows[place]), contents[place]))

        return prepared_in_parallel(len(rows), prepare, preprocessing)

    def file(self, row: int) -> Path | None:
        """None: the file contains many images."""
        return None

    def image(self, row: int) -> Image.Image:
        """One image as it is stored."""
        return self._decode(row, self._read(np.array([row]))[0])

    def faults(self, report: Callable[[int], None]) -> dict[int, str]:
        """Decodes every image: why those that cannot be read cannot, by row.

        Args:
            report: is given the number of images that were decoded since the last call.
        """

        def fault(row: int) -> str:
            try:
                self.image(row)
            except UserError as error:
                return error.what
            return ""

        found: dict[int, str] = {}
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(self._keys), _AT_ONCE):
                rows = range(start, min(start + _AT_ONCE, len(self._keys)))
                faults = zip(rows, pool.map(fault, rows), strict=True)
                found |= {row: reason for row, reason in faults if reason}
                report(len(rows))
        return found

    def _read(self, rows: Integers) -> list[bytes]:
        """The image file in each record; the record file is opened once and read front to back."""
        contents = [b""] * len(rows)
        with self._file.opened() as records:
            for place in np.argsort(self._places[rows]).tolist():
                row = rows[place]
                try:
                    labels, contents[place] = split_record(records.content(int(self._places[row])))
                except ValueError as error:
                    raise self._file.damaged(self._keys[row], str(error)) from error
                if labels[0] != self._labels[row]:
                    why = f"its label is {labels[0]:g} where the others say {self._labels[row]}"
                    raise self._file.damaged(self._keys[row], why)
        return contents

    def _decode(self, row: int, content: bytes) -> Image.Image:
        try:
            return decode(content, max_megapixels=self._max_megapixels)
        except ImageError as error:
            raise UserError(
                f"The record {self._keys[row]} of {self._file.path} cannot be read as an image: "
                f"{error.reason}.",
                _NO_IMAGE,
            ) from error


def is_record_file(path: Path) -> bool:
    """Whether the path is a .rec file, or a folder that contains one with its index."""
    if path.suffix.lower() == ".rec":
        return path.is_file()
    return bool(_pairs(path))


def _pairs(folder: Path) -> list[Path]:
    """The .rec files of a folder that have an index, sorted by name; none if it is no folder."""
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix == ".rec")
    except OSError:
        return []
    return [file for file in files if file.with_suffix(".idx").is_file()]


def open_record_file(
    path: Path,
    *,
    name: str,
    on_bad_image: OnBadImage = "refuse",
    validation_share: float = 0.05,
    test_share: float = 0.0,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> Dataset:
    """Opens the dataset in a record file; its images are read on demand.

    Identities are split by the hash of their names, which are their labels as text.

    Args:
        path: a .rec file with its .idx beside it, or a folder with one such pair.
        name: name of the data in messages: its path.
        on_bad_image: "refuse" an image that cannot be read when it is needed, or decode all images
            now and "skip" those that cannot be read.
        validation_share: share of the training identities, 0..1.
        test_share: share of all identities, 0..1.
        max_megapixels: larger images count as images that cannot be read.

    Raises:
        UserError: the file or its index is missing, cut off or contradicts the other, or has no
            image with an identity.
    """
    file = RecordFile(_file_in(path))
    keys, labels = read_labels(file)
    if (labels < 0).any():
        say(
            f"Left out {counted(int((labels < 0).sum()), 'image')} of {name} without an identity "
            "(with a negative label)."
        )
        keys, labels = keys[labels >= 0], labels[labels >= 0]
    if not len(keys):
        raise UserError(
            f"{file.path} contains no image with an identity.", "Name a record file of images."
        )
    source = RecordImages(file, keys, labels, max_megapixels=max_megapixels)
    numbers, identities = np.unique(labels, return_inverse=True)
    images = ImageSet(
        name=name,
        identities=identities.astype(np.int64),
        identity_names=tuple(map(str, numbers.tolist())),
        domains=np.zeros(len(keys), np.int16),
        domain_names=("",),
        source=source,
        rows=np.arange(len(keys), dtype=np.int64),
    )
    if on_bad_image == "skip":
        images = images.subset(_readable(name, source))
    splits = split_identities(
        images.identity_names, test_share=test_share, validation_share=validation_share
    )
    split = np.array([SPLITS.index(splits[identity]) for identity in images.identity_names])
    of_image = split[images.identities]
    train, validation, test = (images.subset(of_image == part).relabelled() for part in range(3))
    return Dataset(name=name, train=train, validation=validation, test=test, gallery_domain=None)


def _file_in(path: Path) -> Path:
    """The .rec file at a path, or the only one in a folder that has an index."""
    if path.suffix.lower() == ".rec" and not path.is_dir():
        return path
    found = _pairs(path)
    if len(found) != 1:
        listed = f"several: {named([file.name for file in found])}" if found else "none"
        raise UserError(
            f"{path} should contain one .rec file with an .idx file of the same name, but contains "
            f"{listed}.",
            "Name the .rec file itself.",
        )
    return found[0]


def _readable(name: str, source: RecordImages) -> Integers:
    """(N,) bool: whether each image can be read; says which cannot."""
    readable = np.ones(len(source.keys), bool)
    with progress("Checking images", total=len(readable), unit="image") as bar:
        faults = source.faults(bar.advance)
    readable[[*faults]] = False
    if faults:
        counts = f"{len(faults):,} of {counted(len(readable), 'image')} of {name} cannot be read"
        listed = named([reason.rstrip(".") for reason in faults.values()])
        if not readable.any():
            raise UserError(f"{counts}: {listed}.", "Copy or download the file again.")
        say(f"{counts} and are skipped: {listed}.")
    return readable


def _fingerprint(file: RecordFile) -> str:
    """SHA-256 over the index and the records: all of a small file, a sample of a large one."""
    digest = hashlib.sha256(file.index)
    digest.update(f"{file.size}\n".encode())
    if file.size <= _HASHED_WHOLE:
        digest.update(sha256_file(file.path).encode())
        return digest.hexdigest()
    with file.opened() as records:
        for row in sample_of(len(file.keys)).tolist():
            try:
                digest.update(records.content(int(file.places[row])))
            except ValueError as error:
                raise file.damaged(file.keys[row], str(error)) from error
    return digest.hexdigest()
