"""Scores of listed pairs equal those computed pair by pair, in any order and in any pieces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecmp.errors import UserError
from edgecmp.metrics import pair_scores, pairs
from edgecmp.metrics.exact_search import Embeddings


def unit(rng: np.random.Generator, count: int, size: int = 32) -> Embeddings:
    values = rng.normal(size=(count, size))
    scaled: Embeddings = values / np.linalg.norm(values, axis=1, keepdims=True)
    return scaled.astype(np.float32)


@pytest.mark.parametrize("in_order", [True, False])
def test_pairs_equal_their_inner_products(in_order: bool) -> None:
    rng = np.random.default_rng(0)
    enrolled, probes = unit(rng, 300), unit(rng, 400)
    first, second = rng.integers(0, 300, 5000), rng.integers(0, 400, 5000)
    first = np.sort(first) if in_order else first
    expected = [
        float(np.dot(enrolled[i].astype(np.float64), probes[j]))
        for i, j in zip(first, second, strict=True)
    ]
    scores = pair_scores(enrolled, probes, first, second)
    assert scores.dtype == np.float32
    assert np.abs(scores - expected).max() < 3e-7


@settings(max_examples=80)
@given(
    rows=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), max_size=40),
    at_once=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_pieces_order_and_repeats_do_not_matter(
    rows: list[tuple[int, int]], at_once: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    enrolled, probes = (rng.integers(-4, 5, (n, 3)).astype(np.float32) for n in (6, 7))
    first, second = np.array(rows, np.int32).reshape(-1, 2).T
    expected = [enrolled[i] @ probes[j] for i, j in rows]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "_ENROLLED_AT_ONCE", at_once)
        assert pair_scores(enrolled, probes, first, second).tolist() == expected


def test_pairs_that_cannot_be_scored_are_refused() -> None:
    eye = np.eye(3, dtype=np.float32)
    with pytest.raises(ValueError, match="2 and 1 rows"):
        pair_scores(eye, eye, np.array([0, 1]), np.array([0]))
    with pytest.raises(UserError, match="NaN or infinite"):
        pair_scores(eye, eye * np.nan, np.array([0]), np.array([0]))
