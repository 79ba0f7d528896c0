"""Times as people write them: 30m, 90s, 2h, 1h30m."""

from __future__ import annotations

import re
from itertools import pairwise

from edgecmp.errors import UserError
from edgecmp.search.space.quantity import shown

__all__ = ["parse_time", "time_text"]

SECONDS = {
    name: factor
    for factor, names in (
        (1, ("s", "sec", "secs", "second", "seconds")),
        (60, ("m", "min", "mins", "minute", "minutes")),
        (3600, ("h", "hr", "hrs", "hour", "hours")),
        (86400, ("d", "day", "days")),
    )
    for name in names
}
"""Per unit."""

PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-z]+)")
SHORTEST, LONGEST = 1.0, 30 * 86400.0


def parse_time(text: str) -> float:
    """Seconds of a time such as "30m", "90s", "2h", "1h30m" or "1 h 30 min".

    Raises:
        UserError: it is none of these, has a unit twice or in another order, or is out of range.
    """
    plain = text.strip().lower()
    parts = PART.findall(plain)
    if not parts or PART.sub("", plain).strip():
        raise _not_a_time(text)
    if any(unit not in SECONDS for _, unit in parts):
        raise _not_a_time(text)
    factors = [SECONDS[unit] for _, unit in parts]
    if any(later >= earlier for earlier, later in pairwise(factors)):
        raise _not_a_time(text)
    seconds = sum(float(number) * SECONDS[unit] for number, unit in parts)
    if not SHORTEST <= seconds <= LONGEST:
        raise UserError(
            f"--time {shown(text)} is out of range.",
            "Give a time from 1 second to 30 days, such as --time 30m.",
        )
    return seconds


def _not_a_time(text: str) -> UserError:
    """The error for a text that is no time; for a number alone, with the two that it may mean."""
    number = text.strip()
    if re.fullmatch(r"[0-9]+(?:\.[0-9]*)?", number):
        return UserError(
            f"--time {shown(number)} has no unit.",
            f"Write --time {number}m for minutes, {number}s for seconds or {number}h for hours.",
        )
    return UserError(
        f"--time {shown(text)!r} is not a time.",
        "Write a number with its unit: --time 30m, 90s, 2h or 1h30m.",
    )


def time_text(seconds: float) -> str:
    """A time as `parse_time` reads it, to the second: "30m", "1h30m", "45s"."""
    whole = max(0, round(seconds))
    parts = (("h", whole // 3600), ("m", whole % 3600 // 60), ("s", whole % 60))
    return "".join(f"{number}{unit}" for unit, number in parts if number) or "0s"
