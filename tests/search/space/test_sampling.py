"""Counting and sampling under a budget, against enumeration and rejection sampling."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from edgecmp.errors import UserError
from edgecmp.networks.tiers import DEPTH, TIERS
from edgecmp.search.space.constraint import FlopsBudget
from edgecmp.search.space.flops import CHOICES, FlopsTable, Genes
from edgecmp.search.space.sampling import BudgetSampler
from tests.fixtures.samples import assert_same_marginals


def small_costs(unit: int = 1) -> NDArray[np.int64]:
    """A toy space: in all layers but three, every choice costs the same."""
    costs = np.full((DEPTH, CHOICES), 5 * unit, np.int64)
    costs[3, :] = 1000 * unit
    costs[3, :4] = np.array([0, 3, 4, 9]) * unit
    costs[8, :] = 1000 * unit
    costs[8, :3] = np.array([2, 2, 7]) * unit
    costs[19, :] = 1000 * unit
    costs[19, :3] = np.array([1, 5, 6]) * unit
    return costs


def sampler_of(costs: NDArray[np.int64], bound: int) -> BudgetSampler:
    def feasible(blocks: Genes, widths: Genes) -> NDArray[np.bool_]:
        choices = blocks.astype(int) * 10 + widths
        within: NDArray[np.bool_] = costs[np.arange(DEPTH), choices].sum(1) <= bound
        return within

    return BudgetSampler([costs], [bound], feasible)


def brute_force(costs: NDArray[np.int64], bound: int) -> list[tuple[int, int, int]]:
    rest = 5 * 17 * (costs[0, 0] // 5)
    return [
        (a, b, c)
        for a, b, c in itertools.product(range(4), range(3), range(3))
        if costs[3, a] + costs[8, b] + costs[19, c] + rest <= bound
    ]


@pytest.mark.parametrize("bound", [85 + 3, 85 + 8, 85 + 11, 85 + 30])
def test_count_equals_enumeration(bound: int) -> None:
    costs = small_costs()
    sampler = sampler_of(costs, bound)
    assert sampler.exact
    assert sampler.count == len(brute_force(costs, bound)) * CHOICES**17


def test_nothing_is_feasible_under_an_impossible_bound() -> None:
    sampler = sampler_of(small_costs(), 85 + 2)
    assert sampler.count == 0
    assert len(sampler.sample(np.random.default_rng(0), 5)[0]) == 0


@pytest.mark.parametrize("unit", [1, 999_983], ids=["exact", "coarse"])
def test_samples_are_uniform_over_the_feasible_set(unit: int) -> None:
    """Chi-square over every feasible combination, with exact units and with rounded ones."""
    costs = small_costs(unit)
    if unit > 1:
        costs[0, 7] += 1  # the greatest common divisor is now 1: the counts need rounding
    bound = (85 + 11) * unit
    sampler = sampler_of(costs, bound)
    assert sampler.exact == (unit == 1)
    blocks, widths = sampler.sample(np.random.default_rng(1), 20_000)
    choices = blocks.astype(int) * 10 + widths
    feasible = brute_force(costs, bound)
    rows, seen = np.unique(choices[:, [3, 8, 19]], axis=0, return_counts=True)
    assert {tuple(row) for row in rows.tolist()} == set(feasible)
    assert stats.chisquare(seen).pvalue > 1e-3
    assert stats.chisquare(np.bincount(choices[:, 1], minlength=CHOICES)).pvalue > 1e-3
    if unit > 1:  # the one choice with which a combination exceeds the bound by one unit
        exceeds = (choices[:, 0] == 7) & (costs[np.arange(DEPTH), choices].sum(1) > bound)
        assert not exceeds.any()


@pytest.mark.parametrize(("tier", "budget"), [("330M", 330), ("230M", 230), ("100M", 100)])
def test_share_and_marginals_agree_with_rejection(tier: str, budget: int) -> None:
    table = FlopsTable.of(tier)
    constraint = FlopsBudget(table, budget * 10**6)
    rng = np.random.default_rng(2)
    blocks = rng.integers(0, 4, (60_000, DEPTH), dtype=np.uint8)
    widths = rng.integers(0, 10, (60_000, DEPTH), dtype=np.uint8)
    within = constraint.satisfied_by(blocks, widths)
    deviation = np.sqrt(constraint.share * (1 - constraint.share) / len(within))
    assert abs(within.mean() - constraint.share) < 4 * deviation
    samples = constraint.sample(rng, int(within.sum()))
    assert constraint.satisfied_by(*samples).all()
    accepted = blocks[within], widths[within]
    assert_same_marginals(samples, accepted, pvalue=1e-5)
    flops = table.counts(*samples), table.counts(*accepted)
    assert stats.ks_2samp(*flops).pvalue > 1e-3


@pytest.mark.parametrize("tier", TIERS)
def test_a_space_of_few_architectures_is_sampled(tier: str) -> None:
    """Just above the smallest, where rejection sampling would never end."""
    table = FlopsTable.of(tier)
    smallest = table.count(table.smallest())
    only = FlopsBudget(table, smallest)
    assert only.count == 1
    blocks, widths = only.sample(np.random.default_rng(0), 3)
    assert {tuple(row) for row in blocks.tolist()} == {table.smallest().blocks}
    assert {tuple(row) for row in widths.tolist()} == {table.smallest().widths}
    few = FlopsBudget(table, round(smallest * 1.003))
    assert 1 < few.count < 1000
    blocks, widths = few.sample(np.random.default_rng(0), 20_000)
    assert few.satisfied_by(blocks, widths).all()
    assert len(np.unique(np.hstack((blocks, widths)), axis=0)) == few.count


def test_everything_satisfies_a_budget_above_the_largest() -> None:
    assert FlopsBudget(FlopsTable.of("100M"), 10**9).share == pytest.approx(1, abs=1e-12)


def test_an_infeasible_budget_names_the_smallest() -> None:
    table = FlopsTable.of("100M")
    smallest = table.count(table.smallest())
    with pytest.raises(UserError, match=f"--budget {smallest}"):
        FlopsBudget(table, smallest - 1)
