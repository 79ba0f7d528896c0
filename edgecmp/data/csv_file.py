"""Reading CSV files row by row, and one sentence for whatever is wrong with one."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgecmp.documents import first_fault
from edgecmp.errors import UserError

__all__ = ["bad_row", "csv_header", "csv_rows", "text_errors"]


def text_errors(path: Path, error: OSError | UnicodeDecodeError) -> UserError:
    """Why a text file cannot be read."""
    if isinstance(error, UnicodeDecodeError):
        return UserError(f"{path} is not text in UTF-8 ({error}).", "Save it as UTF-8.")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return UserError(f"{path} cannot be read: {reason}.", "Check the path.")


def csv_header(path: Path) -> list[str]:
    """The names in the first line, stripped; none where the file is empty.

    Raises:
        UserError: the file cannot be read, or its first line is not CSV.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [column.strip() for column in next(csv.reader(file, strict=True), [])]
    except (OSError, UnicodeDecodeError) as error:
        raise text_errors(path, error) from error
    except csv.Error as error:
        raise _not_csv(path, 1, error) from error


def csv_rows(path: Path, *, required: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and cells of each row, read as they are asked for.

    Args:
        path: the file; its first line names the columns.
        required: columns that must be there.

    Raises:
        UserError: the file cannot be read or is not CSV, or a column is missing.
    """
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", strict=True)
            columns = [(column or "").strip() for column in reader.fieldnames or ()]
            reader.fieldnames = columns
            missing = [name for name in required if name not in columns]
            if columns and missing:
                raise UserError(
                    f"{path} has no column {' and no column '.join(map(repr, missing))}.",
                    f"Name the columns in the first line; it has: {', '.join(columns)}.",
                )
            for row in reader:
                line = reader.line_num
                yield line, {name: value for name, value in row.items() if name}
    except (OSError, UnicodeDecodeError) as error:
        raise text_errors(path, error) from error
    except csv.Error as error:
        raise _not_csv(path, line, error) from error


def _not_csv(path: Path, line: int, error: csv.Error) -> UserError:
    return UserError(
        f"{path} is not CSV after line {line} ({error}).", "Save the file as CSV again."
    )


def bad_row(path: Path, line: int, error: ValidationError) -> UserError:
    """One sentence for the first thing that is wrong with a row."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "string_too_short":
        wrong = f"the {field} is empty"
    elif first["type"] == "missing":
        wrong = f"there is no {field!r}"
    else:
        wrong = first_fault(error)
    return UserError(f"{path}, line {line}: {wrong}.", "Correct the row, then run again.")
