"""Numbers with a unit as people write them: 100M, 1e8, 100_000_000, 0.1 GFLOPs, 4000 μs."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

from edgecmp.printable import printable

__all__ = ["GROUPED", "Quantity", "read_quantity", "shown"]

NUMBER = r"[+-]?(?:[0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
QUANTITY = re.compile(rf"({NUMBER})\s*([^\W\d_][^\d_]*)?")

GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")
"""Digits in groups of three with commas between them, such as 100,000,000."""

LONGEST = 40
"""Characters of a value that a message repeats."""


class Quantity(NamedTuple):
    """A number and the unit behind it, in lower case and empty if there is none."""

    number: Decimal
    unit: str


def read_quantity(text: str) -> Quantity | None:
    """Reads a decimal number with a unit; None if the text is anything else.

    The number may have an exponent and single underscores between digits. The Greek letter mu and
    the micro sign are the same letter in a unit.
    """
    match = QUANTITY.fullmatch(text.strip())
    if match is None:
        return None
    unit = (match[2] or "").strip().lower().replace("\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}")
    return Quantity(Decimal(match[1]), unit)


def shown(text: str) -> str:
    """The text as a message repeats it: a long one is cut, and control characters are escaped."""
    text = printable(text).replace("\n", "\\n").replace("\t", "\\t")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"
