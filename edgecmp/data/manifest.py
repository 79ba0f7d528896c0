"""Reads a manifest: a CSV or JSONL file with a path and an identity for each image.

Columns (CSV) or fields (JSONL): `path` (relative to the manifest's folder, or absolute) and
`identity`; optionally `domain`, `split` (train, validation or test) and a box, `x1`, `y1`, `x2`,
`y2` in pixels of the upright image (in JSONL also `"box": [x1, y1, x2, y2]`). Others are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from edgecmp.data.csv_file import bad_row, csv_rows, unreadable_text
from edgecmp.data.image_files import ImageRecord
from edgecmp.errors import UserError

__all__ = ["MANIFEST_SUFFIXES", "read_manifest"]

MANIFEST_SUFFIXES = (".csv", ".jsonl")
_REQUIRED = ("path", "identity")
_CORNERS = ("x1", "y1", "x2", "y2")


class _Row(BaseModel):
    """One row of the file."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", str_strip_whitespace=True, coerce_numbers_to_str=True
    )

    path: str = Field(min_length=1)
    identity: str = Field(min_length=1)
    domain: str = ""
    split: Literal["", "train", "validation", "test"] = ""
    box: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather_box(cls, row: dict[str, Any]) -> dict[str, Any]:
        """Drops blank optional cells and gathers the four corner cells into a box."""
        needed = {name: row[name] for name in _REQUIRED if name in row}
        given = {name: value for name, value in row.items() if value not in (None, "")} | needed
        corners = [given[name] for name in _CORNERS if name in given]
        if corners and len(corners) < len(_CORNERS):
            raise ValueError("a box needs all of x1, y1, x2, y2")
        return given | ({"box": corners} if corners else {})

    @model_validator(mode="after")
    def _check_box(self) -> _Row:
        if self.box is not None:
            x1, y1, x2, y2 = self.box
            if not (x1 < x2 and y1 < y2):
                raise ValueError(f"the box {self.box} has no area: it needs x1 < x2 and y1 < y2")
        return self


def read_manifest(path: Path) -> list[ImageRecord]:
    """The images that a .csv or .jsonl manifest lists, in its order.

    Raises:
        UserError: the file cannot be read, is empty or lacks a column, or a row is wrong or
            repeated.
    """
    records: dict[str, ImageRecord] = {}
    for line, row in _rows(path):
        try:
            entry = _Row.model_validate(row)
        except ValidationError as error:
            raise bad_row(path, line, error) from error
        key = entry.path
        if entry.box is not None:
            key += "#" + ",".join(f"{corner:g}" for corner in entry.box)
        if key in records:
            raise UserError(
                f"{path}, line {line}: {key} is listed twice.",
                "Keep one row per image or box.",
            )
        records[key] = ImageRecord(
            path=path.parent / entry.path,
            key=key,
            identity=entry.identity,
            domain=entry.domain,
            split=entry.split,
            box=entry.box,
        )
    if not records:
        raise UserError(f"{path} lists no images.", "Write one row per image.")
    return list(records.values())


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and fields of each row."""
    if path.suffix.lower() == ".jsonl":
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise unreadable_text(path, error) from error
        yield from _jsonl_rows(path, text)
    else:
        yield from csv_rows(path, required=_REQUIRED)


def _jsonl_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(
                f"{path}, line {number}, is not JSON ({error}).", "Write one JSON object per line."
            ) from error
        if not isinstance(row, dict):
            raise UserError(
                f"{path}, line {number}, is not a JSON object.", "Write one JSON object per line."
            )
        yield number, row
