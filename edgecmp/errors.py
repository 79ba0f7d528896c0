"""UserError, the one exception for a mistake of the user: what is wrong, and what to do.

`NotLearnedError` is the one kind of it that a program may go on after.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable

__all__ = ["NotLearnedError", "UserError", "system_reason", "unknown_choice"]


class UserError(Exception):
    """A failure that the user caused and can fix; the command line prints it and exits with code 2.

    Args:
        what: one sentence that says what is wrong, naming the file or value.
        way_out: one sentence that says what to do about it.
    """

    def __init__(self, what: str, way_out: str) -> None:
        super().__init__(f"{what} {way_out}")
        self.what = what
        self.way_out = way_out


class NotLearnedError(UserError):
    """A training that ended without a usable network: it diverged, or its result is near chance."""


def unknown_choice(noun: str, given: str, choices: Iterable[str], *, where: str = "") -> UserError:
    """The error for a name outside a closed list; it suggests the nearest choice and lists all.

    Args:
        noun: the kind of thing that is named, such as "recipe".
        given: the name.
        choices: the closed list.
        where: the file that the name was read from, if any, such as "photos.toml".
    """
    names = [str(choice) for choice in choices]
    lowered = {name.lower(): name for name in names}
    close = difflib.get_close_matches(given.lower(), lowered, n=1, cutoff=0.4)
    place = f" in {where}" if where else ""
    hint = f"Did you mean {lowered[close[0]]}? " if close else ""
    return UserError(
        f"Unknown {noun} {given!r}{place}.", f"{hint}Choose one of: {', '.join(names)}."
    )


def system_reason(error: OSError) -> str:
    """Why the operating system refused, such as "No such file or directory"."""
    return os.strerror(error.errno) if error.errno else str(error)
