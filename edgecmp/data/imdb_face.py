"""Reads IMDb-Face.csv with the images that were downloaded for it.

Columns: name, index (nm..., the person: the identity), image (rm...), rect "x1 y1 x2 y2",
"height width" of the original image, url. Images lie at FOLDER/index/image with .jpg or another
ending. The rect is scaled where the stored image is larger or smaller than the original was.

Many of the released addresses are dead, so some images are missing on every disk: they count as
images that cannot be read (`on_bad_image`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, ValidationError

from edgecmp.data.csv_file import bad_row, csv_header, csv_rows
from edgecmp.data.image_files import ImageRecord
from edgecmp.errors import UserError

__all__ = ["is_imdb_face", "read_imdb_face"]

_REQUIRED = ("index", "image", "rect", "height width")
_ENDINGS = ("", ".jpg", ".jpeg", ".png", ".webp")


def _numbers(count: int) -> BeforeValidator:
    """Cells of `count` whole numbers with spaces between them."""

    def split(cell: Any) -> list[int]:
        try:
            numbers = [int(word) for word in str(cell).split()]
        except ValueError:
            numbers = []
        if len(numbers) != count:
            raise ValueError(f"{cell!r} is not {count} whole numbers")
        return numbers

    return BeforeValidator(split)


class _Row(BaseModel):
    """One row as the file has it."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    index: str = Field(min_length=1, pattern=r"^[^/\\]+$")
    image: str = Field(min_length=1, pattern=r"^[^/\\]+$")
    rect: Annotated[tuple[int, int, int, int], _numbers(4)]
    size: Annotated[tuple[PositiveInt, PositiveInt], _numbers(2)] = Field(alias="height width")


def is_imdb_face(path: Path) -> bool:
    """Whether it is a CSV file with the columns of IMDb-Face.csv."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    return set(_REQUIRED) <= set(csv_header(path))


def read_imdb_face(
    path: Path, *, images: Path | None = None, margin: float = 0.0
) -> list[ImageRecord]:
    """The faces that IMDb-Face.csv lists, in its order, whether their images are there or not.

    Args:
        path: the CSV file.
        images: the folder with one sub-folder a person; None: that of the CSV file.
        margin: what is added on each side of a face's box, in widths and heights of the box; it
            ends at the image's edge.

    Raises:
        UserError: the file or the folder cannot be read, or a row is wrong or double.
    """
    root = path.parent if images is None else images
    if not root.is_dir():
        raise UserError(
            f"The images of {path} are not in {root}: there is no such folder.",
            'Name their folder in a description: images = "FOLDER".',
        )
    stored: dict[str, frozenset[str]] = {}
    records: dict[str, ImageRecord] = {}
    for line, cells in csv_rows(path, required=_REQUIRED):
        try:
            row = _Row.model_validate(cells)
        except ValidationError as error:
            raise bad_row(path, line, error) from error
        x1, y1, x2, y2 = row.rect
        if not (x1 < x2 and y1 < y2):
            raise UserError(
                f"{path}, line {line}: the rect {x1} {y1} {x2} {y2} has no area.",
                "A rect is x1 y1 x2 y2 with x1 < x2 and y1 < y2: correct the row.",
            )
        key = f"{row.index}/{row.image}#{x1},{y1},{x2},{y2}"
        if key in records:
            raise UserError(
                f"{path}, line {line}: {key} is listed twice.", "Keep one row for each face."
            )
        if row.index not in stored:
            stored[row.index] = _names(root / row.index)
        names = (row.image + ending for ending in _ENDINGS)
        found = next((name for name in names if name in stored[row.index]), row.image)
        across, down = margin * (x2 - x1), margin * (y2 - y1)
        height, width = row.size
        records[key] = ImageRecord(
            path=root / row.index / found,
            key=key,
            identity=row.index,
            box=(x1 - across, y1 - down, x2 + across, y2 + down),
            box_of=(width, height),
        )
    if not records:
        raise UserError(f"{path} lists no face.", "Download IMDb-Face.csv again.")
    return list(records.values())


def _names(folder: Path) -> frozenset[str]:
    """What lies in a person's folder; nothing where there is none."""
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208  (names alone, 1.7 million of them)
    except OSError:
        return frozenset()
