"""The statistics behind a verdict, against slow and plain counterparts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecmp.export.verdict import BOUNDS, Comparison, Finds, compare, judge, mean_other_cosine

Floats = NDArray[np.float32]
GOOD = Comparison(
    min_cosine=0.999999,
    p1_cosine=1.0,
    mean_cosine=1.0,
    top1_agreement=100.0,
    top10_overlap=100.0,
    delta_top1=0.0,
    delta_top10=0.0,
    delta_top10_low=0.0,
    delta_top10_high=0.0,
    collapse=0.2,
    collapse_torch=0.2,
    length_error=1e-7,
)


def unit(generator: np.random.Generator, count: int, size: int) -> Floats:
    vectors = generator.standard_normal((count, size)).astype(np.float32)
    scaled: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


@settings(max_examples=40, deadline=None)
@given(count=st.integers(2, 12), size=st.integers(1, 5), seed=st.integers(0, 10_000))
def test_mean_other_cosine_is_the_mean_over_all_pairs(count: int, size: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    vectors = generator.standard_normal((count, size)).astype(np.float32)
    identities = generator.integers(0, 4, count)
    pairs = [
        float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        for i, a in enumerate(vectors.astype(np.float64))
        for j, b in enumerate(vectors.astype(np.float64))
        if identities[i] != identities[j]
    ]
    expected = np.mean(pairs) if pairs else np.nan
    found = mean_other_cosine(vectors, identities)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def search(queries: Floats, gallery: Floats, truth: NDArray[np.int64]) -> Finds:
    images = np.argsort(-queries @ gallery.T, axis=1)[:, :10]
    return Finds(images=images, hits=(images // 2) == truth[:, None])


def test_a_comparison_counts_what_changed() -> None:
    generator = np.random.default_rng(1)
    gallery, truth = unit(generator, 40, 8), np.arange(20)
    reference = unit(generator, 20, 8)
    changed = reference.copy()
    changed[3] = gallery[truth[3] * 2]  # finds its identity now, whatever it found before
    before, after = search(reference, gallery, truth), search(changed, gallery, truth)
    result = compare(changed, reference, after, before, truth, seed=0)
    assert result.min_cosine == pytest.approx(float(changed[3] @ reference[3]), abs=1e-6)
    assert result.mean_cosine == pytest.approx((19 + result.min_cosine) / 20, abs=1e-6)
    assert result.top1_agreement == pytest.approx(95.0)
    kept = len(set(after.images[3]) & set(before.images[3]))
    assert result.top10_overlap == pytest.approx(95 + kept / 2)
    assert result.delta_top1 == pytest.approx(5.0 if not before.hits[3, 0] else 0.0)
    gained = 0.0 if before.hits[3].any() else 5.0
    assert result.delta_top10 == pytest.approx(gained)
    assert result.delta_top10_low <= gained <= result.delta_top10_high


def test_the_bootstrap_interval_is_that_of_redrawn_queries() -> None:
    generator = np.random.default_rng(2)
    mine, theirs = generator.random((400, 1)) < 0.55, generator.random((400, 1)) < 0.5
    images = np.zeros((400, 1), np.int64)
    same = unit(generator, 400, 4)
    result = compare(
        same,
        same,
        Finds(images=images, hits=mine),
        Finds(images=images, hits=theirs),
        np.arange(400),
        seed=0,
    )
    changes = mine[:, 0].astype(int) - theirs[:, 0]
    draws = [100 * generator.choice(changes, 400).mean() for _ in range(4000)]
    low, high = np.percentile(draws, (2.5, 97.5))
    assert result.delta_top10_low == pytest.approx(low, abs=0.7)
    assert result.delta_top10_high == pytest.approx(high, abs=0.7)


@pytest.mark.parametrize("precision", list(BOUNDS))
def test_equal_results_pass(precision: str) -> None:
    assert judge(GOOD, BOUNDS[precision]) == []


@pytest.mark.parametrize(
    ("precision", "change", "says"),
    [
        ("fp32", {"min_cosine": 0.99998}, "min cosine 0.999980 < 0.99999"),
        ("fp16", {"min_cosine": 0.9989}, "min cosine 0.998900 < 0.999"),
        ("fp32", {"top1_agreement": 99.8}, "top-1 agreement 99.80 % < 99.9 %"),
        ("fp16", {"delta_top10": -0.2}, "top-10 changes by -0.20 points, more than 0.1"),
        ("fp16", {"delta_top10": 0.2}, "top-10 changes by +0.20 points, more than 0.1"),
        ("fp32", {"collapse": 0.9}, "collapsed: different identities have a mean cosine of 0.900"),
        ("fp32", {"length_error": 0.5}, "not of unit length"),
    ],
)
def test_each_fault_is_named(precision: str, change: dict[str, float], says: str) -> None:
    faults = judge(replace(GOOD, **change), BOUNDS[precision])
    assert len(faults) == 1
    assert says in faults[0]


def test_fp16_may_swap_neighbours_that_do_not_count() -> None:
    assert judge(replace(GOOD, top1_agreement=99.0, delta_top10=0.1), BOUNDS["fp16"]) == []
