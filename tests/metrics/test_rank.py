"""Kendall's tau against scipy's."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from edgecmp.metrics.rank import kendall_tau

PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=40)


@given(PAIRS)
def test_it_is_scipys_with_ties_and_without(pairs: list[tuple[int, int]]) -> None:
    first, second = zip(*pairs, strict=True)
    expected = kendalltau(first, second).statistic
    found = kendall_tau(first, second)
    assert math.isclose(found, expected, abs_tol=1e-12) or (
        math.isnan(found) and math.isnan(expected)
    )
