"""Reads CSV files row by row and reports any fault of a file as one UserError.

The cells are separated by commas, semicolons or tabs, whichever the first line has most of, and by
tabs in a .tsv file. Blank lines are skipped.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from pydantic import ValidationError

from edgecmp.documents import first_fault
from edgecmp.errors import UserError, system_reason

__all__ = ["bad_row", "csv_header", "csv_rows", "unreadable_text", "wrong_row"]

_DELIMITERS = ",;\t"
_LONGEST_LINE = 2**20


def unreadable_text(path: Path, error: OSError | UnicodeDecodeError) -> UserError:
    """The error for a text file that cannot be read."""
    if isinstance(error, UnicodeDecodeError):
        return UserError(f"{path} is not UTF-8 text ({error}).", "Save the file as UTF-8.")
    return UserError(
        f"{path} cannot be read: {system_reason(error)}.",
        "Check that the path is right and that you are allowed to read it.",
    )


def csv_header(path: Path) -> list[str]:
    """The cells of the first line that is not blank, stripped; an empty list for an empty file.

    Raises:
        UserError: the file cannot be read, its first line is not CSV, or it names a column twice.
    """
    for _, cells in _lines(path):
        _check_columns(path, cells)
        return cells
    return []


def csv_rows(path: Path, *, required: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and cells of each row, read lazily; a cell that is missing is None.

    Args:
        path: the file; its first line names the columns.
        required: columns that the file must have.

    Raises:
        UserError: the file cannot be read or is not CSV, a column is missing or named twice, or a
            row has more cells than there are columns.
    """
    columns: list[str] = []
    for line, cells in _lines(path):
        if not columns:
            columns = cells
            _check_columns(path, columns, required)
            continue
        if any(cells[len(columns) :]):
            raise UserError(
                f"{path}, line {line}, has {len(cells)} cells, but the first line names "
                f"{len(columns)} columns.",
                "Put a cell that contains the separator in double quotes.",
            )
        filled = [*cells, *[None] * (len(columns) - len(cells))]
        yield line, {name: cell for name, cell in zip(columns, filled, strict=False) if name}


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and stripped cells of each line that is not blank."""
    line = 1
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is not a file.", "Name a file with one row per image.")
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=_delimiter(path, file), strict=True)
            for cells in reader:
                line = reader.line_num
                stripped = [cell.strip() for cell in cells]
                if any(stripped):
                    yield line, stripped
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable_text(path, error) from error
    except csv.Error as error:
        raise UserError(
            f"{path} is not valid CSV after line {line} ({error}).",
            "Correct that line, or export the file as CSV again.",
        ) from error


def _delimiter(path: Path, file: TextIO) -> str:
    """The separator of the cells, by the first line that is not blank; the file is rewound."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    first = file.readline(_LONGEST_LINE)
    while first and not first.strip():
        first = file.readline(_LONGEST_LINE)
    file.seek(0)
    return max(_DELIMITERS, key=first.count)


def _check_columns(path: Path, columns: Sequence[str], required: Sequence[str] = ()) -> None:
    """Refuses a file without a required column, or with two columns of one name."""
    missing = [name for name in required if name not in columns]
    if missing:
        raise UserError(
            f"{path} has no column {' and no column '.join(map(repr, missing))}.",
            f"Add it to the first line, which names the columns {', '.join(columns)}.",
        )
    twice = [name for place, name in enumerate(columns) if name and name in columns[:place]]
    if twice:
        raise UserError(
            f"{path} has two columns {twice[0]!r}.", "Rename or remove one of the two columns."
        )


def bad_row(path: Path, line: int, error: ValidationError) -> UserError:
    """The error for a row that does not satisfy its model; it names the first fault."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "string_too_short":
        wrong = f"the {field} is empty"
    elif first["type"] == "missing":
        wrong = f"there is no {field!r}"
    else:
        wrong = first_fault(error)
    return wrong_row(path, line, wrong)


def wrong_row(path: Path, line: int, reason: str) -> UserError:
    """The error for a row that cannot be used, for the given reason."""
    return UserError(
        f"{path}, line {line}: {reason}.", "Correct the row, then run the same command again."
    )
