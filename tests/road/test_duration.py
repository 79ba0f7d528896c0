"""Times as people write them, and the mistakes they make."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.errors import UserError
from edgecmp.road.duration import parse_time, time_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30m", 1800),
        ("90s", 90),
        ("2h", 7200),
        ("1h30m", 5400),
        (" 1 h 30 min ", 5400),
        ("30 min", 1800),
        ("1.5h", 5400),
        ("1d", 86400),
        ("2H", 7200),
        ("45 Minutes", 2700),
    ],
)
def test_times_are_understood(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", "half an hour", "-5m", "m", "m30", "1h30", "30m1h", "5m5m", "30 moons", "1e3s"),
        *("30m please", "1,5h", "\x00", "h"),
    ],
)
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UserError, match=r"is not a time.*--time 30m, 90s, 2h or 1h30m"):
        parse_time(text)


def test_a_number_without_a_unit_is_asked_for_one() -> None:
    with pytest.raises(UserError, match=r"--time 30 has no unit.*30m for minutes, 30s for seconds"):
        parse_time("30")


@pytest.mark.parametrize("text", ["0s", "0.5s", "31d", "9999999h"])
def test_times_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="out of range"):
        parse_time(text)


@given(st.integers(1, 30 * 86400))
def test_a_time_is_written_as_it_is_read(seconds: int) -> None:
    assert parse_time(time_text(seconds)) == seconds
