"""Reads a manifest: a CSV, TSV or JSONL file with a path and an identity for each image.

Columns or fields: `path` (relative to the manifest's folder, or absolute) and `identity`;
optionally `domain`, `split` (train, validation or test), `camera`, and a box (see
`edgecmp.data.boxes`) in pixels of the upright image, or in shares of its width and height. Other
usual names are understood too (`edgecmp.data.manifest_columns`), so that open-metric-learning's
tables (`label`, `path`, `split`, `is_query`, `is_gallery`, `x_1`, ...) can be read as they are.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
)

from edgecmp.data.boxes import BoxFormat, blank, is_relative
from edgecmp.data.csv_file import bad_row, wrong_row
from edgecmp.data.folder_labels import Labels
from edgecmp.data.image_files import ImageRecord
from edgecmp.data.manifest_columns import COLUMNS, Columns
from edgecmp.data.manifest_rows import REQUIRED, ManifestRows
from edgecmp.data.split import SPLITS, named_part
from edgecmp.errors import UserError
from edgecmp.progress import say
from edgecmp.wording import clean_name, counted

__all__ = ["NeededText", "PartName", "located", "plain_path", "read_manifest"]

_LABELS = ("identity", "split", "domain", "camera")


def _text(value: str) -> str:
    """A text that a path or a name may be."""
    if "\0" in value:
        raise ValueError("it contains a NUL character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"it is not valid Unicode ({error.reason})") from error
    return value


def _needed(value: str) -> str:
    """A text that is not a missing value as tools write it that compute with numbers."""
    if len(value) == 3 and value.casefold() == "nan":
        raise ValueError("it is NaN, which stands for a missing value")
    return _text(value)


def _part(value: str) -> str:
    """A name of a split."""
    if value and named_part(value) is None:
        raise ValueError(f"{value!r} is none of {', '.join(SPLITS)}")
    return value


_Text = Annotated[str, AfterValidator(_text)]
NeededText = Annotated[str, Field(min_length=1), AfterValidator(_needed)]
PartName = Annotated[str, AfterValidator(_part)]
_Flag = Annotated[bool, BeforeValidator(lambda flag: {"1.0": True, "0.0": False}.get(flag, flag))]


class _Row(BaseModel):
    """One row of the file; blank cells that are not required are left out."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", str_strip_whitespace=True, coerce_numbers_to_str=True
    )

    path: NeededText
    identity: NeededText
    domain: _Text = ""
    split: PartName = ""
    camera: _Text = ""
    is_query: _Flag | None = None
    is_gallery: _Flag | None = None
    box: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None = None


@dataclass(kw_only=True, slots=True)
class _Entry:
    """The record of one row, and what is decided when all rows are known.

    Args:
        line: of the file.
        record: without the domain of an image that is `both`, its box in the units of the file.
        box: the numbers of the box as they are written.
        both: whether the image is query and gallery at the same time.
    """

    line: int
    record: ImageRecord
    box: tuple[float, float, float, float] | None
    both: bool


def read_manifest(
    path: Path, *, box_format: BoxFormat | None = None, labels: Labels | None = None
) -> list[ImageRecord]:
    """The images that a .csv, .tsv or .jsonl manifest lists, in its order.

    Rows that repeat another one are merged and counted.

    Args:
        path: the manifest.
        box_format: what a box in one column is: "xyxy" (x1, y1, x2, y2) or "xywh" (x, y, width,
            height); None: "xyxy" in a column `box`, and otherwise not known.
        labels: "none": only paths, boxes and splits are read, and each image or box is its own
            identity, called by its key.

    Raises:
        UserError: the file cannot be read, is empty or lacks a column, a row is wrong, or two rows
            contradict each other.
    """
    entries: dict[tuple[str, Any], _Entry] = {}
    merged = 0
    read = ("path", "split") if labels == "none" else tuple(COLUMNS)
    required = [column for column in REQUIRED if column in read]
    rows, folder = ManifestRows(path, box_format, required), path.parent
    for line, row, found in rows:
        of = {column: name for column, name in found.of.items() if column in read}
        columns = replace(found, of=of)
        try:
            entry = _entry(folder, line, row, columns, labels)
        except ValidationError as error:
            raise bad_row(path, line, error) from error
        except ValueError as error:
            raise wrong_row(path, line, str(error)) from error
        first = entries.setdefault((plain_path(entry.record.path), entry.box), entry)
        if first is not entry:
            _refuse_contradiction(path, first, entry)
            merged += 1
    if not entries:
        raise UserError(f"{path} lists no images.", "Write one row per image.")
    if box_format is not None and not rows.boxes:
        raise UserError(
            f"{path} has no boxes, so box_format has no effect.",
            "Remove box_format from the description.",
        )
    if merged:
        say(f"Merged {counted(merged, 'row')} of {path} with identical earlier rows.")
    _check_both(path, list(entries.values()))
    return _records(path, list(entries.values()))


def _entry(
    folder: Path, line: int, row: Mapping[str, Any], columns: Columns, labels: Labels | None
) -> _Entry:
    """One row as a record.

    Raises:
        ValidationError, ValueError: the row is wrong.
    """
    cells = {
        column: row[name]
        for column, name in columns.of.items()
        if column in REQUIRED or not blank(row[name])
    }
    box = None if columns.box is None else columns.box.cells(row)
    labelled = labels != "none"
    if not labelled:
        cells["identity"] = cells.get("path")
    entry = _Row.model_validate(cells if box is None else cells | {"box": box})
    file, key = located(folder, entry.path)
    corners = None
    if entry.box is not None and columns.box is not None:
        corners = columns.box.corners(entry.box)
        key += "#" + ",".join(f"{corner:.10g}" for corner in corners)
    split, domain = (named_part(entry.split) if entry.split else None) or ("", "")
    if domain and not labelled:
        raise ValueError("an image without a label cannot be a query or a gallery image")
    query, gallery = _flags(entry, columns)
    if query != gallery:
        domain = "query" if query else "gallery"
    record = ImageRecord(
        path=file,
        key=key,
        identity=clean_name(entry.identity) if labelled else key,
        domain=clean_name(entry.domain) or domain,
        split=split,
        camera=clean_name(entry.camera),
        box=corners,
    )
    return _Entry(line=line, record=record, box=entry.box, both=query and gallery)


def _flags(row: _Row, columns: Columns) -> tuple[bool, bool]:
    """Whether an image is a query, and a gallery image.

    If the table has only one of the two columns, the other is its opposite.
    """
    query, gallery = row.is_query, row.is_gallery
    if "is_gallery" not in columns.of:
        gallery = None if query is None else not query
    elif "is_query" not in columns.of:
        query = None if gallery is None else not gallery
    return bool(query), bool(gallery)


def located(folder: Path, written: str) -> tuple[Path, str]:
    """The file that a path in a manifest names, and its key.

    Backslashes separate folders if there is no file with backslashes in its name, and accented
    letters may be written in either form (see `clean_name`).
    """
    forms = [written]
    if "\\" in written:
        forms.append(written.replace("\\", "/"))
    if not written.isascii():
        forms += [unicodedata.normalize(form, one) for form in ("NFC", "NFD") for one in forms]
    found = written
    if len(forms) > 1:
        found = next((form for form in forms if os.path.lexists(folder / form)), written)
    return folder / found, clean_name(found)


def plain_path(path: Path) -> str:
    """The path without "..", so that two ways of writing it are one."""
    written = str(path)
    return os.path.normpath(written) if ".." in written else written


def _records(path: Path, entries: Sequence[_Entry]) -> list[ImageRecord]:
    """The records; boxes whose numbers are all in 0..1 are shares of the image."""
    if not is_relative([entry.box for entry in entries if entry.box is not None]):
        return [entry.record for entry in entries]
    say(f"The boxes of {path} are read as shares of each image's width and height, 0 to 1.")
    return [
        replace(entry.record, box_of=None if entry.box is None else (1, 1)) for entry in entries
    ]


def _check_both(path: Path, entries: Sequence[_Entry]) -> None:
    """Says what happens if images are query and gallery at once; refuses it for some of them."""
    both = [entry for entry in entries if entry.both]
    if both and any(entry.record.domain for entry in entries):
        raise wrong_row(
            path,
            both[0].line,
            "the image is query and gallery at the same time, but others are only one of the two",
        )
    if both:
        say(
            f"The queries of {path} are its gallery images too. An image is not compared with "
            "itself, so the first image of each identity forms the gallery."
        )


def _refuse_contradiction(path: Path, first: _Entry, second: _Entry) -> None:
    """Refuses two rows of one image, or of one box in it, that differ in a label."""
    if first.both != second.both:
        raise wrong_row(path, second.line, f"{second.record.key} is listed twice, with other flags")
    for label in _LABELS:
        one, two = (getattr(entry.record, label) or "none" for entry in (first, second))
        if one != two:
            raise UserError(
                f"{path}, line {second.line}: {second.record.key} is listed twice, with the "
                f"{label} {two!r} and, in line {first.line}, {one!r}.",
                "Keep one row per image or box.",
            )
