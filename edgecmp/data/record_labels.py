"""Reads which records of a record file are images, and the label of each.

Files of insightface list the images of each identity, so that tens of thousands of records are read
instead of millions. A sample of the images must have the labels that follow from these lists;
otherwise the label of every image is read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecmp.data.record_io import RecordFile, Records, split_record
from edgecmp.errors import UserError
from edgecmp.progress import progress

__all__ = ["read_labels", "sample_of"]

_SAMPLE = 1024
_EXACT = 2**24
"""Numbers above it are rounded in a label, which is a float32."""
_AT_ONCE = 4096


def sample_of(count: int) -> NDArray[np.int64]:
    """Up to 1,024 of the rows 0 to count - 1, evenly spaced, the last one among them."""
    return np.unique(np.linspace(0, count - 1, min(count, _SAMPLE)).astype(np.int64))


def read_labels(file: RecordFile) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The keys of the images (N,), ascending, and their labels (N,).

    Raises:
        UserError: a record is damaged, or the records contradict each other.
    """
    with file.opened() as records:
        reader = _Reader(file, records)
        head = reader.header()
        if head is None:
            return reader.all_labels()
        first, end = head
        if first < end <= _EXACT:
            found = reader.listed_labels(first, end)
            if found is not None:
                return found
        keys, labels = reader.all_labels()
    if first <= _EXACT and len(keys) != first - 1:
        raise UserError(
            f"Record 0 of {file.path} names {first - 1:,} images, but the file contains "
            f"{len(keys):,}.",
            "Copy or download the file and its index again.",
        )
    return keys, labels


class _Reader:
    """Reads the labels of an open record file, and names the record of a fault."""

    def __init__(self, file: RecordFile, records: Records) -> None:
        self._file, self._records = file, records

    def header(self) -> tuple[int, int] | None:
        """The first identity's key and the end of the identities' keys; None without a header."""
        if self._file.keys[0] != 0:
            return None
        numbers, image = self._numbers(0, int(self._file.places[0]))
        if image or len(numbers) < 2:
            return None
        first, end = numbers[:2].tolist()
        if not 1 <= first <= end:
            raise self._file.damaged(0, f"it names records {first} to {end - 1} as identities")
        return first, end

    def all_labels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Keys and labels of all records that contain an image, each of which is read."""
        file = self._file
        labels = np.zeros(len(file.keys))
        is_image = np.zeros(len(file.keys), bool)
        with progress("Reading labels", total=len(file.keys), unit="record") as bar:
            for start in range(0, len(file.keys), _AT_ONCE):
                places = file.places[start : start + _AT_ONCE].tolist()
                for row, place in enumerate(places, start):
                    try:
                        labels[row], is_image[row] = self._records.label(place)
                    except ValueError as error:
                        raise file.damaged(file.keys[row], str(error)) from error
                bar.advance(len(places))
        keys = file.keys[is_image]
        return keys, self._whole(keys, labels[is_image])

    def listed_labels(
        self, first: int, end: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """Keys and labels of the images by the lists of their identities; None if these fail.

        They fail if an image is in no list, or if an image of the sample has another label than
        the position of its identity.

        Args:
            first: key of the first identity; the images are before it.
            end: the key after that of the last identity.
        """
        file = self._file
        keys = np.arange(1, first, dtype=np.int64)
        places = file.places_of(keys)
        identities = np.arange(first, end, dtype=np.int64)
        owner = np.full(first, -1, np.int64)
        listed = zip(identities.tolist(), file.places_of(identities).tolist(), strict=True)
        for label, (key, place) in enumerate(listed):
            numbers, image = self._numbers(key, place)
            start, stop = numbers.tolist() if not image and len(numbers) == 2 else (0, 0)
            if not 1 <= start <= stop <= first:
                raise file.damaged(
                    key, f"it should name the images of an identity among 1 to {first - 1}"
                )
            taken = owner[start:stop]
            if (taken >= 0).any():
                other = first + int(taken[taken >= 0][0])
                raise file.damaged(key, f"it names images that record {other} names too")
            taken[:] = label
        labels = owner[1:]
        if (labels < 0).any():
            return None
        for row in sample_of(len(keys)).tolist():
            numbers, image = self._numbers(int(keys[row]), int(places[row]))
            if not image or numbers[0] != labels[row]:
                return None
        return keys, labels

    def _numbers(self, key: int, place: int) -> tuple[NDArray[np.int64], bytes]:
        """The labels of one record (of an image the first one only), and the image."""
        try:
            labels, image = split_record(self._records.content(place))
        except ValueError as error:
            raise self._file.damaged(key, str(error)) from error
        checked = labels[:1] if image else labels  # an image may have landmarks as further labels
        return self._whole(np.full(len(checked), key), checked.astype(np.float64)), image

    def _whole(self, keys: NDArray[np.int64], labels: NDArray[np.float64]) -> NDArray[np.int64]:
        """The labels of these records as whole numbers."""
        with np.errstate(invalid="ignore"):
            whole = (np.abs(labels) < 2.0**53) & (np.floor(labels) == labels)
        if not whole.all():
            row = int(np.argmin(whole))
            raise self._file.damaged(keys[row], f"its label {labels[row]:g} is not a whole number")
        return labels.astype(np.int64)
