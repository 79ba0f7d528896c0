"""Text for a terminal: what names and documents from outside must not be able to control."""

from __future__ import annotations

import unicodedata

__all__ = ["printable"]

KEPT = "\n\t"
ESCAPED = ("Cc", "Cs", "Co", "Cn", "Zl", "Zp")
"""Categories of Unicode: control characters, halves of pairs (bytes of a file name that are not
UTF-8), private and unassigned characters, and separators that some terminals break lines at."""
DIRECTIONS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
"""Marks that change the direction of text, so that a name can look like another one."""


def printable(text: str) -> str:
    """The text with every character escaped that could change how a terminal shows it.

    Line breaks and tabs stay; an escape character becomes the four characters "\\x1b".
    """
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(
        character
        if character in KEPT
        or (character not in DIRECTIONS and unicodedata.category(character) not in ESCAPED)
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )
