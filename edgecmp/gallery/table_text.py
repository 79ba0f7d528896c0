"""Reads tables of embeddings that are text: .csv, .jsonl, and files of keys.

Faults are raised as ValueError with the line; `edgecmp.gallery.table_files` names the file.
"""

from __future__ import annotations

import csv
import io
import json
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.files import read_bytes

__all__ = ["KEY_NAMES", "TableContent", "read_csv_table", "read_jsonl_table", "read_key_lines"]

KEY_NAMES = ("image", "key", "path")
"""Names of the field or column with the key, where a format has names."""

_SEPARATORS = "\t;,"


@dataclass(frozen=True, kw_only=True, slots=True)
class TableContent:
    """The content of a file of embeddings.

    Attributes:
        keys: N keys of images.
        embeddings: (N, D) of any floating type.
        lines: the line of each key, if the file is text.
    """

    keys: list[str]
    embeddings: NDArray[Any]
    lines: Sequence[int] | None = None


class _Rows:
    """Collects rows of equal width in 4 bytes per number."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.lines: array[int] = array("q")
        self._flat = array("f")
        self._width = 0

    def add(self, line: int, key: str, numbers: list[Any]) -> None:
        """Adds a row."""
        if not key:
            raise ValueError(f"line {line} has no key")
        if not self.keys:
            self._width = len(numbers)
        if len(numbers) != self._width or not numbers:
            first = f", but line {self.lines[0]} has {self._width}" if self.keys else ""
            raise ValueError(f"line {line} has {len(numbers)} numbers{first}")
        self._flat.fromlist(numbers)
        self.keys.append(key)
        self.lines.append(line)

    def content(self) -> TableContent:
        """The table."""
        if not self.keys:
            raise ValueError("it has no row")
        values = np.frombuffer(self._flat, np.float32).reshape(len(self.keys), self._width)
        return TableContent(keys=self.keys, embeddings=values, lines=self.lines)


def _text(path: Path) -> io.TextIOWrapper:
    """The lines of a file, with their ends, without a byte order mark."""
    content = read_bytes(path, what="a table of embeddings")
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")


def read_csv_table(path: Path) -> TableContent:
    """Reads lines of a key and D numbers, separated by commas, semicolons or tabs.

    The first line is a header if none of its cells after the first is a number, or if they count
    0, 1, 2, ... or 1, 2, 3, ...

    Raises:
        ValueError: a line is malformed.
        UserError: the file cannot be read.
    """
    rows, separator = _Rows(), ""
    for number, line in _filled(_text(path)):
        if not separator:
            separator = _separator(number, line)
            if _is_header(number, _cells(number, line, separator)):
                continue
        key, *words = _cells(number, line, separator)
        rows.add(number, key, _floats(number, words))
    return rows.content()


def _cells(number: int, line: str, separator: str) -> list[str]:
    """The cells of a line; one without quotation marks is split by the quickest way."""
    if '"' not in line:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as error:
        raise ValueError(f"line {number} is not CSV ({error})") from error


def _separator(number: int, line: str) -> str:
    """The separator that divides the first line into the most cells."""
    bare = re.sub(r'"[^"]*"', "", line)
    best = max(_SEPARATORS, key=bare.count)
    if best not in bare:
        raise ValueError(f"line {number} has no comma, semicolon or tab between key and numbers")
    return best


def _is_header(number: int, cells: Sequence[str]) -> bool:
    """Whether the first line names the columns."""
    names = [cell.strip() for cell in cells[1:]]
    if len(names) > 2 and names in ([*map(str, range(len(names)))], [*map(str, _from_1(names))]):
        return True
    if any(map(_is_number, names)):
        return False
    numbered = [bool(re.search(r"\d$", name)) for name in names]
    if any(numbered) and not all(numbered):
        other = names[numbered.index(False)]
        raise ValueError(
            f"the column {other!r} in line {number} is neither the key nor a dimension"
        )
    return True


def _from_1(names: Sequence[str]) -> range:
    return range(1, len(names) + 1)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _floats(number: int, words: Sequence[str]) -> list[float]:
    try:
        return list(map(float, words))
    except ValueError as error:
        wrong = next(word for word in words if not _is_number(word))
        raise ValueError(f"{wrong!r} in line {number} is not a number") from error


def read_jsonl_table(path: Path) -> TableContent:
    """Reads one object per line: the key as `image`, `key` or `path`, and `embedding`.

    Raises:
        ValueError: a line is malformed.
        UserError: the file cannot be read.
    """
    rows = _Rows()
    for number, line in _filled(_text(path)):
        try:
            document = json.loads(line)
        except ValueError as error:
            raise ValueError(f"line {number} is not JSON ({error})") from error
        except RecursionError as error:
            raise ValueError(f"line {number} is nested too deep") from error
        if not isinstance(document, dict):
            raise ValueError(f"line {number} is not a JSON object")
        key = next((document[name] for name in KEY_NAMES if name in document), None)
        if not isinstance(key, str):
            raise ValueError(f'line {number} has no string called "image"')
        numbers = document.get("embedding")
        if not isinstance(numbers, list):
            raise ValueError(f'line {number} has no list called "embedding"')
        try:
            rows.add(number, key, numbers)
        except (TypeError, OverflowError) as error:
            raise ValueError(f"the embedding in line {number}: {error}") from error
    return rows.content()


def read_key_lines(path: Path) -> list[str]:
    """Reads one key per line; empty lines may be at the end only.

    Raises:
        ValueError: a line is empty, or the file is not UTF-8 text.
        UserError: the file cannot be read.
    """
    keys: list[str] = []
    for number, line in _filled(_text(path)):
        keys.append(line)
        if len(keys) < number:
            raise ValueError(f"line {len(keys)} is empty")
    return keys


def _filled(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers, without their ends."""
    for number, line in enumerate(lines, 1):
        content = line.rstrip("\r\n")
        if content.strip():
            yield number, content
