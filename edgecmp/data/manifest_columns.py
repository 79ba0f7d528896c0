"""The columns of a manifest: which of a table's columns holds what, by its name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecmp.data.boxes import BoxColumns, BoxFormat, find_box
from edgecmp.errors import UserError

__all__ = ["COLUMNS", "Columns", "find_columns", "named_columns"]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "path": (
        "image_path",
        "image",
        "img_path",
        "file_path",
        "filepath",
        "file_name",
        "filename",
        "file",
    ),
    "identity": ("label", "class", "person_id", "pid", "product_id", "item_id"),
    "domain": (),
    "split": ("subset",),
    "camera": ("camera_id", "camid"),
    "is_query": (),
    "is_gallery": (),
}
"""What a manifest may contain, and other names under which each of these is understood."""

_NEAR = 0.8


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """The columns of one table.

    Attributes:
        of: the table's name of each of `COLUMNS` that it has.
        box: where the box is; None if the table has none.
    """

    of: Mapping[str, str]
    box: BoxColumns | None


def find_columns(path: Path, names: Sequence[str], box_format: BoxFormat | None) -> Columns:
    """Which columns of a table hold what.

    Case, spaces and hyphens in the names do not matter. Other columns are ignored, except names
    that are nearly one of `COLUMNS` or look like a box, which are probably mistakes.

    Args:
        path: the manifest, for messages.
        names: the table's column names, or the fields of one JSON object.
        box_format: how boxes in one column are to be read.

    Raises:
        UserError: a column has two candidates, is misspelt, or is a box that is not understood.
    """
    of = named_columns(path, names, COLUMNS)
    rest = [name for name in names if name not in of.values()]
    box, used = find_box(path, rest, box_format)
    _refuse_near(path, [name for name in rest if name not in used], of)
    if "domain" in of and ("is_query" in of or "is_gallery" in of):
        raise UserError(
            f"{path} has both a column domain and columns is_query or is_gallery.",
            "Keep the domains, or the two columns that say what is a query.",
        )
    return Columns(of=of, box=box)


def named_columns(
    path: Path, names: Sequence[str], columns: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """The table's name of each column that it has.

    Case, spaces and hyphens in the names do not matter.

    Args:
        path: the table, for messages.
        names: the table's column names.
        columns: what it may contain, and other names under which each of these is understood.

    Raises:
        UserError: a column has two candidates.
    """
    of: dict[str, str] = {}
    for column, others in columns.items():
        exact = [name for name in names if _plain(name) == column]
        found = exact or [name for name in names if _plain(name) in others]
        if len(found) > 1:
            raise UserError(
                f"{path} has several columns that may be the {column}: {', '.join(found)}.",
                f"Call the right one {column!r}.",
            )
        if found:
            of[column] = found[0]
    return of


def _plain(name: str) -> str:
    """A column's name as names are compared."""
    return "_".join(name.casefold().replace("-", " ").split())


def _refuse_near(path: Path, rest: Sequence[str], found: Mapping[str, str]) -> None:
    """Refuses columns that are nearly one that the table does not have."""
    known = {
        name: column
        for column, others in COLUMNS.items()
        if column not in found
        for name in (column, *others)
    }
    for name in rest:
        for near in difflib.get_close_matches(_plain(name), known, n=1, cutoff=_NEAR):
            raise UserError(
                f"{path} has a column {name!r}, which edgecmp does not know.",
                f"Rename it to {known[near]!r} if that is meant, or else to something unlike it.",
            )
