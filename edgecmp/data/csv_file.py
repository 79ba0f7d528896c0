"""Reads CSV files row by row and reports any fault of a file as one UserError."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgecmp.documents import first_fault
from edgecmp.errors import UserError, system_reason

__all__ = ["bad_row", "csv_header", "csv_rows", "unreadable_text"]


def unreadable_text(path: Path, error: OSError | UnicodeDecodeError) -> UserError:
    """The error for a text file that cannot be read."""
    if isinstance(error, UnicodeDecodeError):
        return UserError(f"{path} is not UTF-8 text ({error}).", "Save the file as UTF-8.")
    return UserError(
        f"{path} cannot be read: {system_reason(error)}.",
        "Check that the path is right and that you are allowed to read it.",
    )


def csv_header(path: Path) -> list[str]:
    """The column names in the first line, stripped; an empty list for an empty file.

    Raises:
        UserError: the file cannot be read, or its first line is not CSV.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [column.strip() for column in next(csv.reader(file, strict=True), [])]
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable_text(path, error) from error
    except csv.Error as error:
        raise _not_csv(path, 1, error) from error


def csv_rows(path: Path, *, required: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and cells of each row, read lazily.

    Args:
        path: the file; its first line names the columns.
        required: columns that the file must have.

    Raises:
        UserError: the file cannot be read or is not CSV, or a column is missing.
    """
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", strict=True)
            columns = [(column or "").strip() for column in reader.fieldnames or ()]
            reader.fieldnames = columns
            _require_columns(path, columns, required)
            for row in reader:
                line = reader.line_num
                yield line, {name: value for name, value in row.items() if name}
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable_text(path, error) from error
    except csv.Error as error:
        raise _not_csv(path, line, error) from error


def _require_columns(path: Path, columns: Sequence[str], required: Sequence[str]) -> None:
    """Refuses a file without a required column; an empty file has no columns and passes."""
    missing = [name for name in required if name not in columns]
    if columns and missing:
        raise UserError(
            f"{path} has no column {' and no column '.join(map(repr, missing))}.",
            f"Add it to the first line, which names the columns {', '.join(columns)}.",
        )


def _not_csv(path: Path, line: int, error: csv.Error) -> UserError:
    return UserError(
        f"{path} is not valid CSV after line {line} ({error}).",
        "Correct that line, or export the file as CSV again.",
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
    return UserError(
        f"{path}, line {line}: {wrong}.", "Correct the row, then run the same command again."
    )
