"""FLOPs budgets and latencies as people write them, and every other text refused."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.errors import UserError
from edgecmp.printable import printable
from edgecmp.search.space.constraint import parse_budget, parse_budgets
from edgecmp.search.space.latency_budget import parse_latency

NEARLY = st.text(alphabet="0123456789.,_+-eEkKmMgGflopsuUμµ \n", max_size=12)
"""Texts that look like quantities; most are none."""


@pytest.mark.parametrize(
    ("text", "flops"),
    [
        ("100M", 100_000_000),
        ("95m", 95_000_000),
        ("0.1G", 100_000_000),
        ("95000000", 95_000_000),
        ("1e8", 100_000_000),
        ("1.5E+8", 150_000_000),
        ("100MFLOPs", 100_000_000),
        ("100 mflops", 100_000_000),
        ("0.1 GFLOPs", 100_000_000),
        ("100_000_000", 100_000_000),
        ("100,000,000", 100_000_000),
        ("104,567,123", 104_567_123),
        ("95000000 FLOPs", 95_000_000),
    ],
)
def test_budgets_are_parsed(text: str, flops: int) -> None:
    assert parse_budget(text) == flops
    assert parse_budgets(f" {text} ") == [flops]


@pytest.mark.parametrize(
    ("text", "flops"),
    [
        ("330M,230M,100M", [330, 230, 100]),
        ("100M, 0.33 GFLOPs", [330, 100]),
        ("95000000,100000000", [100, 95]),
    ],
)
def test_lists_of_budgets_are_parsed(text: str, flops: list[int]) -> None:
    assert parse_budgets(text) == [millions * 10**6 for millions in flops]


@pytest.mark.parametrize("text", ["", "100MB", "lots", "nan", "inf", "1.000.000", "100M,", "1__0M"])
def test_other_budgets_list_the_choices(text: str) -> None:
    with pytest.raises(UserError, match=r"330M, 230M, 100M, a number of FLOPs such as 95M"):
        parse_budgets(text)


@pytest.mark.parametrize("text", ["-5M", "0", "0.3", "1e-9M", "9" * 400, "1e400", "1e9G"])
def test_budgets_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"is out of range\. Give a number of FLOPs from 1 to 1e"):
        parse_budget(text)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("0,1G", "Write 0.1G with a decimal point"),
        ("0,1", "Write 0.1 with"),
        ("97,5 MFLOPs", "Write 97.5 MFLOPs with"),
        ("330M,0,1G", "Write 0.1G with"),
        ("330,230,100", "Write 330230100, or 330M,230M,100M"),
    ],
)
def test_an_ambiguous_comma_is_named(text: str, advice: str) -> None:
    with pytest.raises(UserError) as refusal:
        parse_budgets(text)
    assert text in refusal.value.what
    assert refusal.value.way_out.startswith(advice)


def test_a_repeated_budget_is_refused() -> None:
    with pytest.raises(UserError, match="contains duplicates"):
        parse_budgets("100M,0.1G")


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("4ms", 4.0),
        ("0.004s", 4.0),
        ("0.004 s", 4.0),
        ("0.0041s", 4.1),
        ("850us", 0.85),
        ("4 MS", 4.0),
        ("4msec", 4.0),
        (".5ms", 0.5),
        ("7\N{MICRO SIGN}s", 0.007),
        ("4000\N{GREEK SMALL LETTER MU}s", 4.0),
        ("4\N{NO-BREAK SPACE}ms", 4.0),
        ("1e3us", 1.0),
        ("4_000 us", 4.0),
    ],
)
def test_latencies_are_parsed(text: str, milliseconds: float) -> None:
    assert parse_latency(text) == milliseconds


@pytest.mark.parametrize("text", ["", "4", "4m", "nan", "inf", "infms", "4 min", "1.2.3ms", "ms"])
def test_other_latencies_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"is not a latency\. .*4ms or 850us"):
        parse_latency(text)


@pytest.mark.parametrize("text", ["-4ms", "0ms", "1e-9ms", "2e9ms", f"{'9' * 400}ms", "1e999s"])
def test_latencies_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"is out of range\. Give one from 1 ns to 1 hour"):
        parse_latency(text)


@pytest.mark.parametrize(
    ("text", "advice"), [("4,5 ms", "Write 4.5ms,"), ("1,000us", "Write 1000us or 1.000us,")]
)
def test_a_latency_with_a_comma_is_answered_by_name(text: str, advice: str) -> None:
    with pytest.raises(UserError, match="has a comma") as refusal:
        parse_latency(text)
    assert refusal.value.way_out.startswith(advice)


@given(st.one_of(st.text(), NEARLY))
def test_every_text_is_a_number_or_one_sentence(text: str) -> None:
    for parse in (parse_budget, parse_budgets, parse_latency):
        message = ""
        values: Sequence[float] = ()
        try:
            found = parse(text)
            values = found if isinstance(found, list) else [found]
        except UserError as refusal:
            message = str(refusal)
        assert all(0 < value <= 10**15 for value in values)
        assert printable(message) == message
        assert "\n" not in message
        assert len(message) < 400


@given(st.integers(1, 10**15))
def test_a_number_means_the_same_in_every_form(flops: int) -> None:
    assert parse_budget(str(flops)) == flops
    assert parse_budget(f"{flops:_}") == flops
    assert parse_budget(f"{flops}e0 FLOPs") == flops
