"""Reads IMDb-Face.csv and the images that the user downloaded for it.

Wang et al., ECCV 2018, https://arxiv.org/abs/1807.11649. Columns: name, index (nm..., the person:
the identity), image (rm...), rect "x1 y1 x2 y2", "height width" of the original image, url. Images
are at FOLDER/index/image with the ending .jpg or another one. The rect is scaled if the stored
image has another size than the original.

Many of the released addresses no longer work, so some images are always missing; they are treated
as unreadable images (`on_bad_image`).
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
    """Parses cells of `count` whole numbers separated by spaces."""

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
    """One row of the file."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    index: str = Field(min_length=1, pattern=r"^[^/\\]+$")
    image: str = Field(min_length=1, pattern=r"^[^/\\]+$")
    rect: Annotated[tuple[int, int, int, int], _numbers(4)]
    size: Annotated[tuple[PositiveInt, PositiveInt], _numbers(2)] = Field(alias="height width")

    @property
    def key(self) -> str:
        """The readable id of the face."""
        return f"{self.index}/{self.image}#{','.join(map(str, self.rect))}"

    def box(self, margin: float) -> tuple[float, float, float, float]:
        """The rect, enlarged on each side by a share of its width and height."""
        x1, y1, x2, y2 = self.rect
        across, down = margin * (x2 - x1), margin * (y2 - y1)
        return x1 - across, y1 - down, x2 + across, y2 + down


def is_imdb_face(path: Path) -> bool:
    """Whether the path is a CSV file with the columns of IMDb-Face.csv."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    return set(_REQUIRED) <= set(csv_header(path))


def read_imdb_face(
    path: Path, *, images: Path | None = None, margin: float = 0.0
) -> list[ImageRecord]:
    """The faces that IMDb-Face.csv lists, in its order, including those with a missing image.

    Args:
        path: the CSV file.
        images: the folder with one subfolder per person; None: the folder of the CSV file.
        margin: added on each side of a face's box, as a share of the box's width and height; the
            box ends at the edge of the image.

    Raises:
        UserError: the file or the folder cannot be read, or a row is wrong or repeated.
    """
    root = path.parent if images is None else images
    if not root.is_dir():
        raise UserError(
            f"The image folder {root} of {path} does not exist.",
            'Name the folder in a .toml description of the data: images = "FOLDER".',
        )
    stored: dict[str, frozenset[str]] = {}
    records: dict[str, ImageRecord] = {}
    for line, cells in csv_rows(path, required=_REQUIRED):
        row = _read_row(path, line, cells)
        if row.key in records:
            raise UserError(
                f"{path}, line {line}: {row.key} is listed twice.", "Keep one row per face."
            )
        if row.index not in stored:
            stored[row.index] = _names(root / row.index)
        names = (row.image + ending for ending in _ENDINGS)
        found = next((name for name in names if name in stored[row.index]), row.image)
        height, width = row.size
        records[row.key] = ImageRecord(
            path=root / row.index / found,
            key=row.key,
            identity=row.index,
            box=row.box(margin),
            box_of=(width, height),
        )
    if not records:
        raise UserError(f"{path} lists no faces.", "Download IMDb-Face.csv again.")
    return list(records.values())


def _read_row(path: Path, line: int, cells: dict[str, Any]) -> _Row:
    try:
        row = _Row.model_validate(cells)
    except ValidationError as error:
        raise bad_row(path, line, error) from error
    x1, y1, x2, y2 = row.rect
    if not (x1 < x2 and y1 < y2):
        raise UserError(
            f"{path}, line {line}: the rect {x1} {y1} {x2} {y2} has no area.",
            "Correct the row so that x1 < x2 and y1 < y2.",
        )
    return row


def _names(folder: Path) -> frozenset[str]:
    """The file names in a person's folder; empty if the folder cannot be read."""
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208  (names only, 1.7 million of them)
    except OSError:
        return frozenset()
