"""Boxes in a manifest: two corners, or a corner with width and height, in four columns or in one.

The columns may be called x1, y1, x2, y2 or xmin, ymin, xmax, ymax or left, top, right, bottom; or
x, y (or the first corner by another of these names) with w, h or width, height. Case, underscores
and the prefixes bbox and box do not matter. One column `box` holds x1, y1, x2, y2. A column `bbox`
holds these in some tools and x, y, width, height in others, so it is understood only if the
description says which.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from edgecmp.errors import UserError

__all__ = ["BoxColumns", "BoxFormat", "blank", "find_box", "is_relative"]

BoxFormat: TypeAlias = Literal["xyxy", "xywh"]
Box: TypeAlias = tuple[float, float, float, float]

_NAMES = {
    "x1": ("x1", "xmin", "left", "x"),
    "y1": ("y1", "ymin", "top", "y"),
    "x2": ("x2", "xmax", "right"),
    "y2": ("y2", "ymax", "bottom"),
    "w": ("w", "width"),
    "h": ("h", "height"),
}
_OF_NAME = {name: part for part, names in _NAMES.items() for name in names}
_CORNERS = ("x1", "y1", "x2", "y2")
_ALONE = frozenset(("left", "top", "right", "bottom", "x", "y"))
"""Names that also mean other things: one of them alone is not half a box."""
_CELLS = ("box", "bbox", "boundingbox", "rect")
_CENTRE = re.compile(r"c[xy]|[xy]c|[xy]?cent(er|re)[xy]?|[xy]0")
_BLANK = frozenset(("", "nan", "none", "null", "<na>"))
_WAY_OUT = (
    "A box needs all of x1, y1, x2, y2, or all of x, y, width, height: rename the columns, or "
    "remove them if the whole image is meant."
)


def blank(value: Any) -> bool:
    """Whether a cell contains nothing: it is empty, null or "nan"."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and value.strip().casefold() in _BLANK)


def is_relative(boxes: Sequence[Box]) -> bool:
    """Whether boxes count in shares of the image: no number in them is outside 0..1."""
    return bool(boxes) and all(0 <= number <= 1 for box in boxes for number in box)


@dataclass(frozen=True, kw_only=True, slots=True)
class BoxColumns:
    """The columns that hold the box.

    Args:
        names: four columns in the order of the box's numbers, or the one that holds all four.
        format: what the numbers are.
    """

    names: tuple[str, ...]
    format: BoxFormat

    def cells(self, row: Mapping[str, Any]) -> list[Any] | None:
        """The four cells of a row's box as they are written; None if the row has no box.

        Raises:
            ValueError: some of the cells are blank, or the one cell does not hold four.
        """
        values = [row.get(name) for name in self.names]
        if all(blank(value) for value in values):
            return None
        if len(self.names) == 1:
            values = _split(values[0])
        if len(values) != len(_CORNERS) or any(blank(value) for value in values):
            given = ", ".join(self.names)
            raise ValueError(f"the box in {given} needs four numbers")
        return values

    def corners(self, box: Box) -> Box:
        """x1, y1, x2, y2 of a box's four numbers.

        Raises:
            ValueError: the box has no area.
        """
        if self.format == "xywh":
            x, y, width, height = box
            box = x, y, x + width, y + height
            needs = "width and height above 0"
        else:
            needs = "x1 < x2 and y1 < y2"
        if not (box[0] < box[2] and box[1] < box[3]):
            hint = ' (or box_format = "xywh")' if len(self.names) == 1 else ""
            raise ValueError(f"the box {box} has no area: it needs {needs}{hint}")
        return box


def find_box(
    path: Path, names: Sequence[str], box_format: BoxFormat | None
) -> tuple[BoxColumns | None, frozenset[str]]:
    """The columns that hold the box, if there are any, and all columns that look like one.

    Args:
        path: the manifest, for messages.
        names: the columns that hold nothing else.
        box_format: how a box in one column is to be read.

    Raises:
        UserError: columns look like a box that is not understood, or more than one.
    """
    plain = {name: _plain(name) for name in names}
    parts: dict[str, list[str]] = {}
    for name in names:
        if plain[name] in _OF_NAME:
            parts.setdefault(_OF_NAME[plain[name]], []).append(name)
    cells = [name for name in names if plain[name] in _CELLS]
    likely = [
        name
        for name in names
        if name in cells or "bbox" in name.casefold() or _CENTRE.fullmatch(plain[name])
    ]
    corners = [name for part in _CORNERS for name in parts.get(part, ())]
    if len(corners) == 1 and plain[corners[0]] in _ALONE:
        corners = []
    if not corners and not likely:
        return None, frozenset()
    if corners and not cells:
        return _four(path, parts, corners, likely, box_format)
    if len(cells) == 1 and not corners:
        return _one(path, cells[0], plain[cells[0]], box_format), frozenset(likely)
    found = ", ".join(dict.fromkeys([*corners, *likely]))
    if not cells:
        raise UserError(f"{path} has a box that is not understood, in {found}.", _WAY_OUT)
    raise UserError(
        f"{path} has several boxes, in {found}.", "Keep one of them, and remove the other columns."
    )


def _four(
    path: Path,
    parts: Mapping[str, Sequence[str]],
    corners: Sequence[str],
    likely: Sequence[str],
    box_format: BoxFormat | None,
) -> tuple[BoxColumns, frozenset[str]]:
    """A box in four columns."""
    size = [name for part in ("w", "h") for name in parts.get(part, ())]
    second = "x2" in parts or "y2" in parts
    wanted = _CORNERS if second else ("x1", "y1", "w", "h")
    given = list(corners) if second else [*corners, *size]
    if any(len(parts.get(part, ())) != 1 for part in wanted):
        found = ", ".join(dict.fromkeys([*given, *likely]))
        raise UserError(f"{path} has a box that is not understood, in {found}.", _WAY_OUT)
    if box_format is not None:
        raise UserError(
            f"{path} has its boxes in the columns {', '.join(given)}, whose names say what they "
            "are, so box_format has no effect.",
            "Remove box_format from the description.",
        )
    found_format: BoxFormat = "xyxy" if second else "xywh"
    names = tuple(parts[part][0] for part in wanted)
    return BoxColumns(names=names, format=found_format), frozenset([*given, *likely])


def _one(path: Path, name: str, plain: str, box_format: BoxFormat | None) -> BoxColumns:
    """A box in one column."""
    if box_format is None and plain != "box":
        raise UserError(
            f"{path} has boxes in the column {name!r}, which may be x1, y1, x2, y2 or x, y, width, "
            "height.",
            'Say which in a .toml description of the data: box_format = "xyxy" or "xywh" (see '
            "docs/reference/data-formats.md).",
        )
    return BoxColumns(names=(name,), format=box_format or "xyxy")


def _plain(name: str) -> str:
    """The name in lower case without separators, and without the prefix bbox or box."""
    letters = re.sub(r"[\W_]", "", name.casefold())
    rest = re.sub(r"^(bounding|b)?box", "", letters)
    return rest if rest in _OF_NAME else letters


def _split(cell: Any) -> list[Any]:
    """The numbers in one cell: a list, or text such as "[1, 2, 3, 4]" or "1 2 3 4"."""
    if isinstance(cell, list | tuple):
        return list(cell)
    if isinstance(cell, str):
        return [part for part in re.split(r"[\s,;]+", cell.strip().strip("[](){}")) if part]
    raise ValueError(f"the box {cell!r} is not four numbers")
