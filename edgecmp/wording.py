"""Counts and lists in messages about the user's data, and names as they are compared."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence

__all__ = ["clean_name", "counted", "named"]


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 image", "1,200 images", "3 identities", "2 boxes"."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y"):
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'}"


def named(names: Sequence[str], most: int = 5) -> str:
    """The first `most` names and the number of the others: "a, b, c and 7 more"."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def clean_name(name: str) -> str:
    """The name in the form in which identities and keys are compared and written.

    macOS stores accented letters as two characters (NFD), other systems as one (NFC); the result
    is NFC. Bytes of a file name that are not UTF-8 become escapes such as "\\xe9".
    """
    if name.isascii():
        return name
    readable = os.fsencode(name).decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", readable)
