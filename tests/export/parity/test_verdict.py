"""The statistics behind a verdict, against slow and plain counterparts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecmp.export.parity.compatibility import Rule, check_rule, rule_faults
from edgecmp.export.parity.retrieval import FAR, RetrievalResult, retrieve
from edgecmp.export.parity.verdict import BOUNDS, Comparison, compare, judge, mean_other_cosine
from edgecmp.metrics import tar_at_far, top_k
from edgecmp.metrics.bootstrap import interval, resamples

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
    delta_tar=0.0,
    delta_tar_low=0.0,
    delta_tar_high=0.0,
    collapse=0.2,
    collapse_torch=0.2,
    length_error=1e-7,
)


def unit(generator: np.random.Generator, count: int, size: int) -> Floats:
    vectors = generator.standard_normal((count, size)).astype(np.float32)
    scaled: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


@settings(max_examples=40)
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


def search(queries: Floats, gallery: Floats, truth: NDArray[np.int64]) -> RetrievalResult:
    return retrieve(queries, truth, gallery, np.arange(len(gallery)) // 2)


def test_a_comparison_counts_what_changed() -> None:
    generator = np.random.default_rng(1)
    gallery, truth = unit(generator, 40, 8), np.arange(20)
    reference = unit(generator, 20, 8)
    changed = reference.copy()
    changed[3] = gallery[truth[3] * 2]  # finds its identity now, whatever it found before
    before, after = search(reference, gallery, truth), search(changed, gallery, truth)
    result = compare(changed, reference, after, before, truth, weights=resamples(20, seed=0))
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
    changes = generator.integers(-1, 2, 400)
    pairs = generator.integers(1, 4, 400)
    draws = generator.integers(0, 400, (4000, 400))
    weights = resamples(400, seed=0)
    assert weights.sum(1).tolist() == [400] * len(weights)
    for counts in (None, pairs):
        out_of = np.ones(400) if counts is None else counts
        plain = [changes[rows].sum() / out_of[rows].sum() for rows in draws]
        low, high = np.percentile(plain, (2.5, 97.5))
        found = interval(weights, changes, counts)
        assert found == pytest.approx((low, high), abs=0.01)


@settings(max_examples=30)
@given(count=st.integers(3, 60), size=st.integers(2, 6), seed=st.integers(0, 10_000))
def test_retrieval_results_are_those_of_the_metrics(count: int, size: int, seed: int) -> None:
    """Against the metrics, which are tested against references of their own."""
    generator = np.random.default_rng(seed)
    gallery, queries = unit(generator, 3 * count, size), unit(generator, count, size)
    gallery_ids = np.concatenate([np.arange(count)] * 2 + [generator.integers(0, count, count)])
    truth = generator.permutation(count)
    found = retrieve(queries, truth, gallery, gallery_ids)
    shares = top_k(queries, truth, gallery, gallery_ids, ks=(1, 10))
    assert found.top1 == pytest.approx(100 * shares[1])
    assert found.top10 == pytest.approx(100 * shares[10])
    tar = tar_at_far(queries, truth, gallery, gallery_ids, fars=(FAR,))[FAR]
    assert found.tar == pytest.approx(100 * tar)
    assert (found.ranks <= 10).tolist() == found.hits.any(1).tolist()
    assert (found.ranks == 1).tolist() == found.hits[:, 0].tolist()


def with_hits(share: float, count: int, seed: int) -> RetrievalResult:
    """A made-up result in which a share of the queries is found."""
    hits = (np.random.default_rng(seed).random((count, 1)) < share).astype(bool)
    numbers = np.zeros(count, np.int64)
    return RetrievalResult(
        images=numbers[:, None],
        hits=hits,
        best=np.zeros(count, np.float32),
        ranks=numbers,
        genuine=numbers + 1,
        accepted=numbers,
    )


@pytest.mark.parametrize(
    ("mqg", "mqq", "says"), [(0.9, 0.7, "holds"), (0.7, 0.9, "broken"), (0.8, 0.8, "level")]
)
def test_the_rule_is_told_from_chance(mqg: float, mqq: float, says: str) -> None:
    rule = check_rule(with_hits(mqg, 500, 0), with_hits(mqq, 500, 1), resamples(500, seed=0))
    assert rule.verdict == says
    assert rule.low <= rule.mqg_top10 - rule.mqq_top10 <= rule.high


def test_a_file_breaks_only_a_rule_that_the_trained_network_holds() -> None:
    held = Rule(mqg_top10=80, mqq_top10=70, low=8, high=12)
    level = Rule(mqg_top10=70, mqq_top10=70, low=-2, high=0)
    broken = Rule(mqg_top10=60, mqq_top10=70, low=-12, high=-8)
    assert rule_faults(held, held) == []
    assert rule_faults(broken, broken) == []
    assert rule_faults(broken, level) == []
    assert rule_faults(broken, held) == [
        "the compatibility rule is broken: M(q,g) 60.00 < M(q,q) 70.00 at top-10 "
        "(difference -12.00 to -8.00)"
    ]


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
        ("fp32", {"collapse": 0.49}, "different identities have a mean cosine of 0.490, in torch"),
        ("fp32", {"length_error": 0.5}, "not of unit length"),
    ],
)
def test_each_fault_is_named(precision: str, change: dict[str, float], says: str) -> None:
    faults = judge(replace(GOOD, **change), BOUNDS[precision])
    assert len(faults) == 1
    assert says in faults[0]


@pytest.mark.parametrize(
    ("collapse", "torch", "fails", "collapsed"),
    [
        (0.04, 0.02, True, False),  # more alike than in torch, but far from collapsed
        (0.209, 0.2, False, False),
        (0.6, 0.55, True, False),
        (0.6, 0.4, True, True),
    ],
)
def test_collapsed_is_said_of_what_collapsed(
    collapse: float, torch: float, fails: bool, collapsed: bool
) -> None:
    faults = judge(replace(GOOD, collapse=collapse, collapse_torch=torch), BOUNDS["fp32"])
    assert len(faults) == fails
    assert any("collapsed" in fault for fault in faults) == collapsed


@pytest.mark.parametrize(
    ("change", "low", "high", "sample", "passes"),
    [
        (-0.6, -1.2, 0.0, True, True),  # of 1,000 queries: chance explains it
        (-0.6, -1.2, 0.0, False, False),  # of all queries: the file does change it
        (-2.0, -2.9, -0.6, True, False),
        (2.0, 0.6, 2.9, True, False),
        (2.0, 0.4, 2.9, True, True),
    ],
)
def test_of_a_sample_the_interval_decides(
    change: float, low: float, high: float, sample: bool, passes: bool
) -> None:
    changed = replace(GOOD, delta_top10=change, delta_top10_low=low, delta_top10_high=high)
    assert (judge(changed, BOUNDS["int8"], sample=sample) == []) == passes


def test_fp16_may_swap_neighbours_that_do_not_count() -> None:
    assert judge(replace(GOOD, top1_agreement=99.0, delta_top10=0.1), BOUNDS["fp16"]) == []
