"""Reads IMDb-Face.csv and the images that the user downloaded for it.

Wang et al., ECCV 2018, https://arxiv.org/abs/1807.11649. Columns: name, index (nm..., the person:
the identity), image (rm...), rect "x1 y1 x2 y2", "height width" of the original image, url. Images
are at FOLDER/index/image with the ending .jpg or another one. The rect is scaled if the stored
image has another size than the original.

About 30,000 of the released rows are listed twice; rows that say the same are read as one. Many of
the released addresses no longer work, so some images are always missing; they are treated as
unreadable images (`on_bad_image`), and so are rows whose rect has no area.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from edgecmp.data.csv_file import bad_row, csv_header, csv_rows
from edgecmp.data.image_files import ImageRecord
from edgecmp.errors import UserError
from edgecmp.progress import say
from edgecmp.wording import counted, named

__all__ = ["is_imdb_face", "read_imdb_face"]

_REQUIRED = ("index", "image", "rect", "height width")
_ENDINGS = ("", ".jpg", ".jpeg", ".png", ".webp")
_FARTHEST = 10**6
"""Pixels; no image is larger."""


def _numbers(count: int) -> BeforeValidator:
    """Parses cells of `count` whole numbers separated by spaces."""

    def split(cell: Any) -> list[int]:
        try:
            numbers = [int(word) for word in str(cell).split()]
        except ValueError:
            numbers = []
        if len(numbers) != count:
            raise ValueError(f"{str(cell)[:40]!r} is not {count} whole numbers")
        return numbers

    return BeforeValidator(split)


def _is_name(word: str) -> str:
    if word in (".", ".."):
        raise ValueError(f"{word!r} is not a name")
    return word


_Name = Annotated[str, Field(min_length=1, pattern=r"^[^/\\]+$"), AfterValidator(_is_name)]
_Corner = Annotated[int, Field(ge=-_FARTHEST, le=_FARTHEST)]
_Length = Annotated[int, Field(gt=0, le=_FARTHEST)]


class _Row(BaseModel):
    """One row of the file."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    index: _Name
    image: _Name
    rect: Annotated[tuple[_Corner, _Corner, _Corner, _Corner], _numbers(4)]
    size: Annotated[tuple[_Length, _Length], _numbers(2)] = Field(alias="height width")

    @property
    def key(self) -> str:
        """The readable id of the face."""
        return f"{self.index}/{self.image}#{','.join(map(str, self.rect))}"

    @property
    def has_area(self) -> bool:
        """Whether the rect contains anything."""
        x1, y1, x2, y2 = self.rect
        return x1 < x2 and y1 < y2

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
    path: Path, *, images: Path | None = None, margin: float = 0.0, skip_bad: bool = False
) -> list[ImageRecord]:
    """The faces that IMDb-Face.csv lists, in its order, including those with a missing image.

    Rows that say the same are read as one, and their number is reported.

    Args:
        path: the CSV file.
        images: the folder with one subfolder per person; None: the folder of the CSV file.
        margin: added on each side of a face's box, as a share of the box's width and height; the
            box ends at the edge of the image.
        skip_bad: leave out rows whose rect has no area instead of refusing them.

    Raises:
        UserError: the file or the folder cannot be read, a row is wrong, or two rows contradict
            each other.
    """
    root = path.parent if images is None else images
    if not root.is_dir():
        raise UserError(
            f"The image folder {root} of {path} does not exist.",
            'Name the folder in a .toml description of the data: images = "FOLDER".',
        )
    stored: dict[str, frozenset[str]] = {}
    records: dict[str, ImageRecord] = {}
    flat: list[str] = []
    repeated = 0
    for line, row in _rows(path):
        if not row.has_area:
            flat.append(f"{row.key} (line {line})")
            continue
        height, width = row.size
        known = records.get(row.key)
        if known is not None:
            if known.box_of != (width, height):
                raise _contradiction(path, line, row, known)
            repeated += 1
            continue
        if row.index not in stored:
            stored[row.index] = _names(root / row.index)
        names = (row.image + ending for ending in _ENDINGS)
        found = next((name for name in names if name in stored[row.index]), row.image)
        records[row.key] = ImageRecord(
            path=root / row.index / found,
            key=row.key,
            identity=row.index,
            box=row.box(margin),
            box_of=(width, height),
        )
    if flat:
        _report_flat(path, flat, skip=skip_bad)
    if repeated:
        say(f"Merged {counted(repeated, 'row')} of {path} that repeat an earlier row.")
    if not records:
        raise UserError(f"{path} lists no faces.", "Download IMDb-Face.csv again.")
    return list(records.values())


def _rows(path: Path) -> Iterator[tuple[int, _Row]]:
    """Line number and content of each row."""
    for line, cells in csv_rows(path, required=_REQUIRED):
        try:
            yield line, _Row.model_validate(cells)
        except ValidationError as error:
            raise bad_row(path, line, error) from error


def _contradiction(path: Path, line: int, row: _Row, known: ImageRecord) -> UserError:
    """The error for a row that repeats a face of another image size."""
    height, width = row.size
    across, down = known.box_of or (0, 0)
    return UserError(
        f"{path}, line {line}: {row.key} is listed twice, in an image of height and width {height} "
        f"{width} here and {down} {across} in an earlier row.",
        "Keep the row with the size of the image.",
    )


def _report_flat(path: Path, flat: list[str], *, skip: bool) -> None:
    """Refuses rects without an area, or reports that their rows are left out."""
    rows = f"{counted(len(flat), 'row')} of {path} without an area in the rect: {named(flat)}."
    if not skip:
        raise UserError(
            f"There {'is' if len(flat) == 1 else 'are'} {rows}",
            'Correct them so that x1 < x2 and y1 < y2, or set on_bad_image = "skip" in a .toml '
            "description of the data to leave them out.",
        )
    say(f"Left out {rows}")


def _names(folder: Path) -> frozenset[str]:
    """The file names in a person's folder; empty if the folder cannot be read."""
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208  (names only, 1.7 million of them)
    except (OSError, ValueError):  # a NUL in the name
        return frozenset()
