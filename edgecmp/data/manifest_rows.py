"""The rows of a manifest file as they are written, with the columns that they have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgecmp.data.boxes import BoxColumns, BoxFormat
from edgecmp.data.csv_file import csv_header, csv_rows
from edgecmp.data.manifest_columns import COLUMNS, Columns, find_columns
from edgecmp.errors import UserError
from edgecmp.files import read_bytes

__all__ = ["MANIFEST_SUFFIXES", "REQUIRED", "ManifestRows", "jsonl_rows"]

MANIFEST_SUFFIXES = (".csv", ".tsv", ".jsonl")
REQUIRED = ("path", "identity")


class ManifestRows:
    """Line number, cells and columns of each row of a .csv, .tsv or .jsonl file.

    Iterating raises UserError if the file cannot be read, is not what its ending says, or has
    columns that are missing, misspelt or not understood.

    Args:
        path: the file.
        box_format: how boxes in one column are to be read.
        required: the columns that the table must have.
    """

    def __init__(
        self, path: Path, box_format: BoxFormat | None, required: Sequence[str] = REQUIRED
    ) -> None:
        self._path, self._box_format, self._required = path, box_format, required
        self._known: dict[tuple[str, ...], Columns] = {}

    @property
    def boxes(self) -> list[BoxColumns]:
        """The columns of boxes in the rows read so far."""
        return [columns.box for columns in self._known.values() if columns.box is not None]

    def __iter__(self) -> Iterator[tuple[int, Mapping[str, Any], Columns]]:
        if self._path.suffix.lower() == ".jsonl":
            for line, row in jsonl_rows(self._path):
                yield line, row, self._columns(tuple(row))
        elif header := csv_header(self._path):
            columns = self._columns(tuple(header))
            _check_header(self._path, header, columns, self._required)
            for line, row in csv_rows(self._path):
                yield line, row, columns

    def _columns(self, names: tuple[str, ...]) -> Columns:
        if names not in self._known:
            self._known[names] = find_columns(self._path, names, self._box_format)
        return self._known[names]


def _check_header(path: Path, header: list[str], columns: Columns, required: Sequence[str]) -> None:
    """Refuses a first line without the required columns."""
    missing = [column for column in required if column not in columns.of]
    if not missing:
        return
    if not columns.of and columns.box is None:
        raise UserError(
            f"The first line of {path} does not name the columns; it is {','.join(header)!r}.",
            "Put the names of the columns in the first line, such as path,identity.",
        )
    others = " or ".join(COLUMNS[missing[0]])
    alone = ""
    if missing == ["identity"]:
        alone = (
            ' If no two images show the same, set labels = "none" in a .toml description of the '
            "data."
        )
    raise UserError(
        f"{path} has no column {' and no column '.join(map(repr, missing))}.",
        f"Add it to the first line, which names the columns {', '.join(header)}, or rename a "
        f"column to it ({others} would be understood too).{alone}",
    )


def jsonl_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and object of each line that is not blank.

    Raises:
        UserError: the file cannot be read, or a line is not a JSON object.
    """
    content = read_bytes(path, what="a list of images")
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode())
        except UnicodeDecodeError as error:
            raise UserError(
                f"{path}, line {number}, is not UTF-8 text ({error}).", "Save the file as UTF-8."
            ) from error
        except (ValueError, RecursionError) as error:
            reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
            raise UserError(
                f"{path}, line {number}, is not JSON ({reason}).", "Write one JSON object per line."
            ) from error
        if not isinstance(row, dict):
            raise UserError(
                f"{path}, line {number}, is not a JSON object.", "Write one JSON object per line."
            )
        yield number, row
