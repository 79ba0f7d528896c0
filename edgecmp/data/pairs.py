"""Reads a table of pairs: each row names a query and an image that matches it.

Images that rows connect, directly or through others, show the same identity, which is called by the
first of their keys. An image of the column `query` is a query, and one of the column `match` is a
gallery image; one of both columns is a gallery image, since the gallery has it. If every image of
an identity is in both columns, the first one by key is the gallery image and the others are
queries.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from edgecmp.data.boxes import blank
from edgecmp.data.csv_file import bad_row, csv_header, csv_rows, wrong_row
from edgecmp.data.image_files import ImageRecord
from edgecmp.data.manifest import NeededText, PartName, located, plain_path
from edgecmp.data.manifest_columns import named_columns
from edgecmp.data.manifest_rows import MANIFEST_SUFFIXES, jsonl_rows
from edgecmp.data.split import named_part
from edgecmp.errors import UserError
from edgecmp.progress import say
from edgecmp.wording import counted

__all__ = ["PAIR_COLUMNS", "is_pairs", "read_pairs"]

PAIR_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "query": ("query_path", "query_image", "query_file", "anchor"),
    "match": ("match_path", "match_image", "match_file", "positive", "gallery", "gallery_path"),
    "split": ("subset",),
}
"""The columns of a table of pairs, and other names under which each is understood."""

_FIRST = 2**20
"""Bytes of a .jsonl file in which its first line ends."""


class _Row(BaseModel):
    """One row of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    query: NeededText
    match: NeededText
    split: PartName = ""


@dataclass(slots=True)
class _Image:
    """One image, and in which columns it is."""

    record: ImageRecord
    asked: bool = False
    found: bool = False


def is_pairs(path: Path) -> bool:
    """Whether a .csv, .tsv or .jsonl file has the columns of a query and a match.

    A file that cannot be read is none: its reader says why.
    """
    if path.suffix.lower() not in MANIFEST_SUFFIXES or not path.is_file():
        return False
    try:
        of = named_columns(path, _names(path), PAIR_COLUMNS)
    except (UserError, OSError):
        return False
    return "query" in of and "match" in of


def read_pairs(path: Path) -> list[ImageRecord]:
    """The images of all pairs, with the domains "query" and "gallery".

    Args:
        path: the table; its paths are relative to its folder, or absolute. A column `split`
            assigns both images of a row to train, validation or test.

    Raises:
        UserError: the file cannot be read, is empty or lacks a column, a row is wrong, or an image
            is in two splits.
    """
    images: dict[str, _Image] = {}
    groups = _Groups()
    rows = 0
    for line, row in _rows(path):
        rows += 1
        query, match = _images(path, line, row, images)
        query.asked, match.found = True, True
        groups.join(plain_path(query.record.path), plain_path(match.record.path))
    if not rows:
        raise UserError(f"{path} lists no pairs.", "Write one row per pair.")
    return _labelled(path, images, groups, rows)


def _labelled(
    path: Path, images: Mapping[str, _Image], groups: _Groups, rows: int
) -> list[ImageRecord]:
    """The records with their identities and domains; says what was made of the rows."""
    members: dict[str, list[_Image]] = {}
    for name in sorted(images, key=lambda name: images[name].record.key):
        members.setdefault(groups.root(name), []).append(images[name])
    records: list[ImageRecord] = []
    symmetric = 0
    for group in members.values():
        queries = [image for image in group if not image.found]
        if not queries:
            symmetric += 1
            queries = group[1:]
        asking = {id(image) for image in queries}
        identity = group[0].record.key
        for image in group:
            domain = "query" if id(image) in asking else "gallery"
            records.append(replace(image.record, identity=identity, domain=domain))
    sizes = Counter(record.identity for record in records)
    say(
        f"The {counted(rows, 'pair')} of {path} connect {counted(len(records), 'image')} to "
        f"{counted(len(sizes), 'identity')}, the largest with {max(sizes.values()):,}."
    )
    both = sum(image.asked and image.found for image in images.values())
    if both:
        first = (
            f" In {counted(symmetric, 'identity')} that is every image, of which the first forms "
            "the gallery."
        )
        say(
            f"{counted(both, 'image')} of {path} {'is' if both == 1 else 'are'} a query in one row "
            f"and a match in another, and counted as gallery.{first if symmetric else ''}"
        )
    return records


def _images(
    path: Path, line: int, row: Mapping[str, Any], images: dict[str, _Image]
) -> tuple[_Image, _Image]:
    """The two images of a row; new ones are added to `images` by their paths."""
    try:
        pair = _Row.model_validate(row)
    except ValidationError as error:
        raise bad_row(path, line, error) from error
    split, domain = (named_part(pair.split) if pair.split else None) or ("", "")
    if domain:
        raise wrong_row(path, line, f"{pair.split!r} is no split of a pair")
    found = []
    for written in (pair.query, pair.match):
        file, key = located(path.parent, written)
        record = ImageRecord(path=file, key=key, identity="", split=split)
        image = images.setdefault(plain_path(file), _Image(record))
        if image.record.split != split:
            one, two = image.record.split or "none", split or "none"
            raise wrong_row(path, line, f"{key} is in two splits, {one} and {two}")
        found.append(image)
    if found[0] is found[1]:
        raise wrong_row(path, line, f"{pair.query} is named as its own match")
    return found[0], found[1]


class _Groups:
    """Names that were joined directly or through others (disjoint sets)."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def root(self, name: str) -> str:
        """One name for the whole group."""
        found = name
        while (parent := self._parents.get(found, found)) != found:
            found = parent
        while name != found:  # so that the next time is quick
            self._parents[name], name = found, self._parents[name]
        return found

    def join(self, one: str, two: str) -> None:
        """Makes one group of two."""
        self._parents[self.root(one)] = self.root(two)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and the known cells of each row, by the names of `PAIR_COLUMNS`."""
    jsonl = path.suffix.lower() == ".jsonl"
    of = {} if jsonl else _known(path, csv_header(path))
    for line, row in jsonl_rows(path) if jsonl else csv_rows(path):
        columns = _known(path, list(row)) if jsonl else of
        yield (
            line,
            {
                column: row[name]
                for column, name in columns.items()
                if column != "split" or not blank(row[name])
            },
        )


def _known(path: Path, names: list[str]) -> dict[str, str]:
    """The columns of a pair in a header, which must have both images."""
    of = named_columns(path, names, PAIR_COLUMNS)
    missing = [column for column in ("query", "match") if column not in of]
    if missing and names:
        raise UserError(
            f"{path} has no column {missing[0]!r}.",
            f"Call the two columns query and match; it has {', '.join(names)}.",
        )
    return of


def _names(path: Path) -> list[str]:
    """The column names of a table, or the fields of the first object of a .jsonl file."""
    if path.suffix.lower() != ".jsonl":
        return csv_header(path)
    with path.open("rb") as file:
        lines = iter(lambda: file.readline(_FIRST), b"")
        first = next((line for line in lines if line.strip()), b"")
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return []
    return [str(name) for name in row] if isinstance(row, dict) else []
