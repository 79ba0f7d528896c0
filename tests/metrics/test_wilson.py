"""Wilson's interval: equal to scipy's, and honest about few queries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from edgecmp.metrics import wilson


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_it_equals_scipys(hits_of: tuple[int, int]) -> None:
    hits, count = hits_of
    expected = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert wilson(hits / count, count) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_all_of_five_may_be_little_more_than_half() -> None:
    low, high = wilson(1.0, 5)
    assert round(low, 3) == 0.566
    assert high == 1
