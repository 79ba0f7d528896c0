"""FLOPs and latency together: counts, uniform samples, and the lowest feasible latency."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.errors import UserError
from edgecmp.networks.tiers import DEPTH
from edgecmp.search.space.constraint import FlopsBudget
from edgecmp.search.space.flops import CHOICES, FlopsTable, Genes
from edgecmp.search.space.latency_budget import LatencyBudget, parse_latency
from edgecmp.search.space.min_latency import fastest_choices
from edgecmp.search.space.sampling import MAX_LISTED, BudgetSampler
from tests.fixtures.samples import assert_same_marginals
from tests.fixtures.search_tables import against_flops, flops_like, random_table

TABLE = FlopsTable.of("100M")
BUDGETS = {millions: FlopsBudget(TABLE, millions * 10**6) for millions in (40, 60, 100)}
LAYERS = np.arange(DEPTH)


def fastest_ms(flops: FlopsBudget, table: LatencyTable) -> float:
    return LatencyBudget(flops, table, 1e9).fastest_ms


def choices_of(genes: tuple[Genes, Genes]) -> NDArray[np.int64]:
    return genes[0].astype(np.int64) * 10 + genes[1]


# Three layers of a few choices each; in all others every choice costs the same.
PLACES = (3, 8, 19)
FIRST = ((0, 3, 4, 9), (2, 2, 7), (1, 5, 6))
SECOND = ((9, 2, 8, 0), (1, 6, 0), (4, 3, 8))
UNIT = 7_919
BOUNDS = (11, 12)


def small_costs(values: tuple[tuple[int, ...], ...]) -> NDArray[np.int64]:
    costs = np.full((DEPTH, CHOICES), 5 * UNIT, np.int64)
    for place, few in zip(PLACES, values, strict=True):
        costs[place] = 10**7 * UNIT
        costs[place, : len(few)] = np.array(few) * UNIT
    return costs


def test_samples_are_uniform_over_the_feasible_set() -> None:
    """Chi-square over every feasible combination, by enumeration; units are rounded."""
    costs = [small_costs(FIRST), small_costs(SECOND)]
    costs[0][0, 7] += 1  # a combination exceeds the bound by one unit
    costs[1][1, 9] += 1
    bounds = [bound * UNIT + 5 * 17 * UNIT for bound in BOUNDS]

    def within(blocks: Genes, widths: Genes) -> NDArray[np.bool_]:
        choices = choices_of((blocks, widths))
        sums = [cost[LAYERS, choices].sum(1) for cost in costs]
        both: NDArray[np.bool_] = (sums[0] <= bounds[0]) & (sums[1] <= bounds[1])
        return both

    sampler = BudgetSampler(costs, bounds, within)
    assert not sampler.exact
    choices = choices_of(sampler.sample(np.random.default_rng(1), 20_000))
    feasible = []
    for picks in itertools.product(*(range(len(few)) for few in FIRST)):
        sums = [sum(few[i] for few, i in zip(v, picks, strict=True)) for v in (FIRST, SECOND)]
        if sums[0] <= BOUNDS[0] and sums[1] <= BOUNDS[1]:
            feasible.append(picks)
    rows, seen = np.unique(choices[:, PLACES], axis=0, return_counts=True)
    assert {tuple(row) for row in rows.tolist()} == set(feasible)
    assert 3 < len(feasible) < 36
    expected = np.array(  # a fortieth has the choice that is one unit more expensive
        [
            np.prod(
                [
                    1 - 0.025 * (sum(v[k][i] for k, i in enumerate(row)) == bound)
                    for v, bound in zip((FIRST, SECOND), BOUNDS, strict=True)
                ]
            )
            for row in rows.tolist()
        ]
    )
    assert stats.chisquare(seen, expected * seen.sum() / expected.sum()).pvalue > 1e-3
    assert stats.chisquare(np.bincount(choices[:, 5], minlength=CHOICES)).pvalue > 1e-3
    assert sampler.count == pytest.approx(expected.sum() * CHOICES**17, rel=0.06)


def enumerated(bound: LatencyBudget) -> set[tuple[int, ...]]:
    """All feasible architectures, by depth-first search bounded by the smallest remaining costs."""
    costs = [TABLE.layer_flops.astype(float), bound.latency.layer_ms]
    rest = [np.append(cost.min(1)[::-1].cumsum()[::-1], 0.0) for cost in costs]
    limits = [bound.budget - TABLE.fixed_flops, bound.latency_ms - bound.latency.fixed_ms + 1e-12]
    found: set[tuple[int, ...]] = set()

    def descend(picked: tuple[int, ...], flops: float, latency: float) -> None:
        layer = len(picked)
        if flops + rest[0][layer] > limits[0] or latency + rest[1][layer] > limits[1]:
            return
        if layer == DEPTH:
            found.add(picked)
            return
        for choice in range(CHOICES):
            extra = costs[0][layer, choice], costs[1][layer, choice]
            descend((*picked, choice), flops + extra[0], latency + extra[1])

    descend((), 0.0, 0.0)
    return found


@pytest.mark.parametrize(
    ("table", "millions", "factor"),
    [(flops_like(), 100, 1.01), (random_table(0), 100, 1.01), (flops_like(), 28.25, 1.0045)],
    ids=["flops", "random", "both bind"],
)
def test_few_architectures_are_listed_exactly(
    table: LatencyTable, millions: float, factor: float
) -> None:
    flops = FlopsBudget(TABLE, round(millions * 10**6))
    bound = LatencyBudget(flops, table, fastest_ms(flops, table) * factor)
    expected = enumerated(bound)
    assert 1 < len(expected) <= MAX_LISTED
    assert bound.count == len(expected)
    choices = choices_of(bound.sample(np.random.default_rng(0), 30 * len(expected)))
    rows, seen = np.unique(choices, axis=0, return_counts=True)
    assert {tuple(row) for row in rows.tolist()} == expected
    assert stats.chisquare(seen).pvalue > 1e-3
    assert "about" not in bound.describe()[-1]


@pytest.mark.slow
@settings(max_examples=20)
@given(
    table=st.one_of(
        st.integers(0, 100).map(random_table),
        st.floats(1, 6).map(flops_like),
        st.just(against_flops()),
    ),
    millions=st.sampled_from([40, 60, 100]),
    factor=st.floats(1.001, 4),
    seed=st.integers(0, 2**32),
)
def test_every_sample_satisfies_both(
    table: LatencyTable, millions: int, factor: float, seed: int
) -> None:
    flops = BUDGETS[millions]
    bound = LatencyBudget(flops, table, fastest_ms(flops, table) * factor)
    blocks, widths = bound.sample(np.random.default_rng(seed), 300)
    assert len(blocks) == len(widths) == 300
    assert TABLE.counts(blocks, widths).max() <= flops.budget
    assert table.predicts(blocks, widths).max() <= bound.latency_ms
    assert 0 < bound.share <= flops.share


@pytest.mark.parametrize("table", [flops_like(), random_table(3), against_flops()])
def test_share_and_marginals_agree_with_rejection(table: LatencyTable) -> None:
    """Against uniform samples under the budget, a fifth of which satisfies the latency too."""
    flops = BUDGETS[100]
    blocks, widths = flops.sample(np.random.default_rng(2), 60_000)
    times = table.predicts(blocks, widths)
    bound = LatencyBudget(flops, table, float(np.quantile(times, 0.2)))
    assert bound.share / flops.share == pytest.approx(0.2, abs=0.015)
    within = times <= bound.latency_ms
    samples = bound.sample(np.random.default_rng(3), int(within.sum()))
    assert_same_marginals(samples, (blocks[within], widths[within]), pvalue=1e-5)
    assert stats.ks_2samp(table.predicts(*samples), times[within]).pvalue > 1e-3


def test_nested_bounds_agree_down_to_a_share_of_1e_14() -> None:
    """Samples of a bound that satisfy the next lower one are distributed like its samples."""
    table, flops = flops_like(), BUDGETS[100]
    latencies = [0.33]
    wide = LatencyBudget(flops, table, latencies[0])
    assert wide.share < 1e-12
    while latencies[-1] > 0.25:
        blocks, widths = wide.sample(np.random.default_rng(len(latencies)), 8_000)
        times = table.predicts(blocks, widths)
        latencies.append(float(np.quantile(times, 0.3)))
        narrow = LatencyBudget(flops, table, latencies[-1])
        assert narrow.count / wide.count == pytest.approx(0.3, abs=0.04)
        within = times <= narrow.latency_ms
        samples = narrow.sample(np.random.default_rng(0), int(within.sum()))
        assert stats.ks_2samp(table.predicts(*samples), times[within]).pvalue > 1e-4
        for layer in range(0, DEPTH, 5):
            ours, theirs = samples[1][:, layer], widths[within, layer]
            assert stats.ks_2samp(ours, theirs).pvalue > 1e-5
        wide = narrow
        if len(latencies) > 6:
            break
    assert wide.share < 1e-14


def test_a_bound_that_does_not_bind_leaves_the_budget_unchanged() -> None:
    flops = BUDGETS[60]
    loose = LatencyBudget(flops, flops_like(), 1000.0)
    assert loose.share == pytest.approx(flops.share, rel=1e-3)
    assert len(loose.sample(np.random.default_rng(0), 1000)[0]) == 1000


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_faster_than_the_fastest(seed: int) -> None:
    """Where the budget is binding: the sampler counts no architecture just below."""
    table, flops = random_table(seed), BUDGETS[40]
    choices = fastest_choices(TABLE, flops.budget, table.layer_ms)
    assert TABLE.layer_flops[LAYERS, choices].sum() + TABLE.fixed_flops <= flops.budget
    best = table.layer_ms[LAYERS, choices].sum()
    assert best > table.layer_ms.min(1).sum()
    assert LatencyBudget(flops, table, best * (1 + 1e-9) + table.fixed_ms).count >= 1
    with pytest.raises(UserError):
        LatencyBudget(flops, table, best * (1 - 1e-9) + table.fixed_ms)
    lower = int(1e9 * best * (1 - 1e-6))
    costs = [TABLE.layer_flops, np.floor(table.layer_ms * 1e9).astype(np.int64)]

    def faster(blocks: Genes, widths: Genes) -> NDArray[np.bool_]:
        fast: NDArray[np.bool_] = table.predicts(blocks, widths) < best + table.fixed_ms
        both: NDArray[np.bool_] = flops.satisfied_by(blocks, widths) & fast
        return both

    assert BudgetSampler(costs, [flops.budget - TABLE.fixed_flops, lower], faster).count == 0


@pytest.mark.slow
def test_infeasible_bounds_name_the_lowest_feasible_ones() -> None:
    table, flops = against_flops(), BUDGETS[60]
    fastest = fastest_ms(flops, table)
    free = float(table.layer_ms.min(1).sum() + table.fixed_ms)
    with pytest.raises(UserError) as refusal:
        LatencyBudget(flops, table, 1.5)
    for part in ("60,000,000 FLOPs", "1.5 ms", f"{fastest:.4g} ms", f"{free:.4g} ms"):
        assert part in refusal.value.what
    assert f"{TABLE.count(TABLE.smallest()):,}" in refusal.value.what
    assert "higher --budget" in refusal.value.way_out
    advised = refusal.value.way_out.split("--latency ")[1].split()[0]
    assert LatencyBudget(flops, table, parse_latency(advised)).count > 0
    with pytest.raises(UserError) as refusal:
        LatencyBudget(flops, table, free / 2)
    assert "--budget" not in refusal.value.way_out


@pytest.mark.slow
def test_bounds_that_all_but_exclude_each_other_are_refused() -> None:
    """Latency falls as FLOPs rise, so that at the fastest, 1 architecture of 10^27 is feasible."""
    table = against_flops()
    noise = np.random.default_rng(0).uniform(0, 1e-6, table.entries_ms.shape)
    table = replace(table, entries_ms=table.entries_ms + noise)
    fastest = fastest_ms(BUDGETS[60], table)
    with pytest.raises(UserError, match="Too few architectures") as refusal:
        LatencyBudget(BUDGETS[60], table, fastest)
    advised = refusal.value.way_out.split("--latency ")[1].split(",")[0]
    assert LatencyBudget(BUDGETS[60], table, parse_latency(advised)).count > 1e20


def test_it_describes_what_is_feasible() -> None:
    first, second = LatencyBudget(BUDGETS[100], flops_like(), 0.8).describe()
    assert "35.1% of the 100M tier" in first
    assert "0.8 ms on local (litert 2.3.0, 1 thread, fp32)" in second
    assert "about 0.3% satisfy both bounds, 0.8% of those within the budget" in second
