"""RecordFile: access to the records of an MXNet RecordIO file (.rec) by its index (.idx).

A record is one part, or several if its content contains the magic number at a multiple of four
bytes, which is then left out between the parts. A part is the magic number (4 bytes), a word with
its kind (3 bits) and length (29 bits), its bytes, and zeros up to a multiple of four bytes.

The content of an image's record is a header of 24 bytes (flag, label, and two ids), `flag` further
labels if it is not 0, and the bytes of an image file. All numbers are little-endian; labels are
float32. The index is text with one line per record: key, tab, and the place of its first byte.
"""

from __future__ import annotations

import os
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError, system_reason
from edgecmp.files import read_bytes

__all__ = ["RecordFile", "Records", "split_record"]

_MAGIC = struct.pack("<I", 0xCED7230A)
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_LONGEST = 2**29
_MOST_PARTS = 2**16
_HEADER = struct.Struct("<IfQQ")
_START = struct.Struct("<4sIIf")
_AGAIN = "Copy or download both files again."


def split_record(content: bytes) -> tuple[NDArray[np.float32], bytes]:
    """The labels (n,) and the bytes of the image file in the content of a record.

    Raises:
        ValueError: the content is shorter than its header says.
    """
    if len(content) < _HEADER.size:
        raise ValueError(f"it has {len(content)} bytes, fewer than its header needs")
    flag, label, _, _ = _HEADER.unpack_from(content)
    end = _HEADER.size + 4 * flag
    if len(content) < end:
        raise ValueError(f"it has {len(content):,} bytes, but its header names {flag:,} labels")
    if flag == 0:
        return np.array([label], np.float32), content[end:]
    return np.frombuffer(content, "<f4", flag, _HEADER.size), content[end:]


class Records:
    """The records of an open file.

    Args:
        handle: descriptor of the file.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def content(self, place: int) -> bytes:
        """The content of the record whose first byte is at `place`.

        Raises:
            ValueError: there is no record, or it is cut off.
            OSError: the file cannot be read.
        """
        parts: list[bytes] = []
        total = 0
        while True:
            kind, length = self._part(place)
            if kind not in ((_MIDDLE, _LAST) if parts else (_WHOLE, _FIRST)):
                raise ValueError(f"its part {len(parts) + 1} is of the wrong kind ({kind})")
            total += length + len(_MAGIC)
            if total > _LONGEST or len(parts) == _MOST_PARTS:
                raise ValueError("its parts are longer than a record can be")
            part = os.pread(self._handle, length, place + 8)
            if len(part) < length:
                raise ValueError(f"the file ends {length - len(part):,} bytes before its end")
            parts.append(part)
            place += 8 + _padded(length)
            if kind in (_WHOLE, _LAST):
                return _MAGIC.join(parts)

    def label(self, place: int) -> tuple[float, bool]:
        """The first label of the record at `place`, and whether the record contains an image.

        Of most records only 16 bytes are read.

        Raises:
            ValueError, OSError: as in `content`.
        """
        start = os.pread(self._handle, _START.size, place)
        if len(start) == _START.size:
            magic, word, flag, label = _START.unpack(start)
            kind, length = divmod(word, _LONGEST)
            if magic == _MAGIC and kind == _WHOLE and flag == 0 and length >= _HEADER.size:
                return label, length > _HEADER.size
        labels, image = split_record(self.content(place))
        return float(labels[0]), bool(image)

    def end(self, place: int) -> int:
        """The place of the first byte after the record at `place`.

        Raises:
            ValueError, OSError: as in `content`.
        """
        for _ in range(_MOST_PARTS):
            kind, length = self._part(place)
            place += 8 + _padded(length)
            if kind not in (_FIRST, _MIDDLE):
                return place
        raise ValueError("it has too many parts")

    def _part(self, place: int) -> tuple[int, int]:
        """Kind and length of the part at `place`."""
        head = os.pread(self._handle, 8, place)
        if len(head) < 8 or head[:4] != _MAGIC:
            raise ValueError(f"no record is at byte {place:,}")
        word = int.from_bytes(head[4:], "little")
        return word // _LONGEST, word % _LONGEST


def _padded(length: int) -> int:
    """The next multiple of four."""
    return (length + 3) // 4 * 4


class RecordFile:
    """A .rec file and its index.

    Attributes:
        path: the .rec file.
        keys: (N,) int64, ascending.
        places: (N,) int64, the first byte of each record.
        size: bytes of the .rec file.
        index: the bytes of the .idx file.
    """

    def __init__(self, path: Path) -> None:
        """Reads the index and compares its end with that of the file.

        Raises:
            UserError: a file is missing, the index is malformed, or it does not fit the file.
        """
        self.path = path
        listed = path.with_suffix(".idx")
        self.index = read_bytes(listed, what="the index of a record file")
        if not path.is_file():
            raise UserError(f"{path} is not a file with records.", _AGAIN)
        self.size = path.stat().st_size
        table = _parse(listed, self.index)
        order = np.argsort(table[:, 0], kind="stable")
        self.keys, self.places = table[order, 0], table[order, 1]
        twice = np.flatnonzero(np.diff(self.keys) == 0)
        if len(twice):
            raise UserError(f"{listed} lists the record {self.keys[twice[0]]} twice.", _AGAIN)
        self._check_end(listed)

    @contextmanager
    def opened(self) -> Iterator[Records]:
        """The open file.

        Raises:
            UserError: it cannot be opened or read.
        """
        try:
            with self.path.open("rb", buffering=0) as file:
                yield Records(file.fileno())
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be read: {system_reason(error)}.", "Restore the file."
            ) from error

    def places_of(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first byte of each of the records.

        Raises:
            UserError: the index does not list one of them.
        """
        rows = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        missing = np.flatnonzero(self.keys[rows] != keys)
        if len(missing):
            raise UserError(
                f"{self.path.with_suffix('.idx')} lacks {len(missing):,} records that {self.path} "
                f"names, such as {keys[missing[0]]}.",
                _AGAIN,
            )
        places: NDArray[np.int64] = self.places[rows]
        return places

    def damaged(self, key: int, reason: str) -> UserError:
        """The error for one record."""
        return UserError(f"The record {key} of {self.path} is damaged: {reason}.", _AGAIN)

    def _check_end(self, listed: Path) -> None:
        """Refuses a file or an index that was cut off: the last record ends where the file does."""
        wrong = np.flatnonzero((self.places < 0) | (self.places >= self.size))
        last = int(wrong[0] if len(wrong) else np.argmax(self.places))
        try:
            if len(wrong):
                raise ValueError("it is outside of the file")
            with self.opened() as records:
                end = records.end(int(self.places[last]))
        except ValueError as error:
            raise UserError(
                f"{listed} does not fit {self.path}, which has {self.size:,} bytes: record "
                f"{self.keys[last]} is listed at byte {self.places[last]:,}, where there is none.",
                _AGAIN,
            ) from error
        if end > self.size:
            raise UserError(
                f"{self.path} is cut off: its last record ends at byte {end:,}, but the file has "
                f"{self.size:,} bytes.",
                _AGAIN,
            )
        if end < self.size:
            raise UserError(
                f"{listed} is cut off: {self.path} has {self.size - end:,} bytes after the last "
                "record that it lists.",
                _AGAIN,
            )


def _parse(path: Path, content: bytes) -> NDArray[np.int64]:
    """(N, 2): key and place of each line of an index."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # for what is not a number
            numbers = np.fromstring(content.decode("ascii"), np.int64, sep=" ")
        lines = content.count(b"\n") + (not content.endswith(b"\n"))
        if len(numbers) == 2 * lines == 2 * content.count(b"\t") and b" " not in content:
            return numbers.reshape(-1, 2)
    except (ValueError, DeprecationWarning):
        pass
    return _parse_slowly(path, content)


def _parse_slowly(path: Path, content: bytes) -> NDArray[np.int64]:
    """The same for an index that `_parse` cannot read; it names the first wrong line."""
    rows = []
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        found = re.fullmatch(rb"\s*(\d{1,18})\s+(\d{1,18})\s*", line)
        if found is None:
            shown = line.decode(errors="backslashreplace").strip()[:60]
            raise UserError(f"Line {number} of {path} is not a key and a place: {shown!r}.", _AGAIN)
        rows.append((int(found[1]), int(found[2])))
    if not rows:
        raise UserError(f"{path} lists no record.", _AGAIN)
    return np.array(rows, np.int64)
