"""Properties of the evolution over random seeds, budgets and populations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecmp.errors import UserError
from edgecmp.networks.tiers import DEPTH
from edgecmp.search.space.constraint import FlopsBudget
from edgecmp.search.space.flops import FlopsTable
from edgecmp.search.space.latency_budget import LatencyBudget
from edgecmp.search.space.space import Space
from edgecmp.search.strategies.evolution import (
    EvolutionSettings,
    Proposal,
    first_generation,
    next_generation,
)
from tests.fixtures.search_tables import flops_like, random_table

TABLE = FlopsTable.of("100M")
SMALLEST = TABLE.count(TABLE.smallest())
FLOPS = [FlopsBudget(TABLE, flops) for flops in (round(SMALLEST * 1.02), 60 * 10**6, 10**8)]
BUDGETS = [Space.of(budget) for budget in FLOPS]
BOUNDS = [
    *BUDGETS,
    Space.of(LatencyBudget(FLOPS[2], flops_like(), 0.3)),
    Space.of(LatencyBudget(FLOPS[1], random_table(0), 1.0)),
    Space.with_sizes(TABLE, 60 * 10**6, (48, 56, 64), native=64),
    Space.with_sizes(TABLE, round(SMALLEST * 1.02), (48, 64), native=64),
]
SETTINGS = EvolutionSettings(population=20, generations=4, retain=4)


def run(budget: Space, seed: int, setting: EvolutionSettings = SETTINGS) -> list[Proposal]:
    """All generations, ranked by an arbitrary but fixed order."""
    proposals = [first_generation(budget, setting, seed=seed)]
    population = sorted(map(tuple, proposals[0].children.tolist()), key=hash)
    seen = {bytes(genes) for genes in population}
    for generation in range(2, setting.generations + 1):
        proposal = next_generation(
            population, seen, budget, setting, seed=seed, generation=generation
        )
        proposals.append(proposal)
        children = list(map(tuple, proposal.children.tolist()))
        seen |= {bytes(genes) for genes in children}
        population = sorted(
            [population[position] for position in proposal.survivors] + children, key=hash
        )
    return proposals


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), budget=st.sampled_from(BOUNDS))
def test_candidates_satisfy_the_bound_and_fill_the_population_without_repeats(
    seed: int, budget: Space
) -> None:
    proposals = run(budget, seed)
    rows = np.concatenate([proposal.children for proposal in proposals])
    assert rows.dtype == np.uint8
    assert rows[:, :DEPTH].max() <= 3
    assert rows[:, DEPTH:].max() <= 9
    assert (rows < budget.choices).all()
    assert budget.contains(rows).all()
    assert len(np.unique(rows, axis=0)) == len(rows)
    for proposal in proposals:
        assert len(proposal.survivors) + len(proposal.children) == SETTINGS.population
    assert all(proposal.survivors[:4] == (0, 1, 2, 3) for proposal in proposals[1:])


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), budget=st.sampled_from(BUDGETS))
def test_the_same_seed_gives_the_same_generations(seed: int, budget: Space) -> None:
    for left, right in zip(run(budget, seed), run(budget, seed), strict=True):
        assert left.survivors == right.survivors
        assert (left.children == right.children).all()


def test_other_seeds_give_other_generations() -> None:
    assert (run(BUDGETS[2], 0)[0].children != run(BUDGETS[2], 1)[0].children).any()


def test_children_are_crossovers_with_a_tenth_of_the_genes_mutated() -> None:
    """Two parents without a gene in common: a gene of neither of them was mutated."""
    everything = Space.of(FlopsBudget(TABLE, 10**9))
    setting = EvolutionSettings(population=2000, generations=2, retain=2, retain_chance=0.0)
    parents = [(0,) * DEPTH + (2,) * DEPTH, (1,) * DEPTH + (3,) * DEPTH]
    children = next_generation(
        parents, set(), everything, setting, seed=0, generation=2
    ).children.astype(int)
    low, high = np.array(parents)
    assert len(children) == 1998
    # A mutation may result in a parent's value: 2 of 4 blocks, 2 of 10 widths.
    mutated = ((children != low) & (children != high)).mean(0)
    assert mutated[:DEPTH].mean() == pytest.approx(0.1 * 2 / 4, abs=0.005)
    assert mutated[DEPTH:].mean() == pytest.approx(0.1 * 8 / 10, abs=0.005)
    assert (children == low).mean() == pytest.approx((children == high).mean(), abs=0.01)
    # Genes are inherited independently: neighbours have the same parent half of the time.
    from_low = children[:, :DEPTH] == 0
    assert (from_low[:, 1:] == from_low[:, :-1]).mean() == pytest.approx(0.5, abs=0.02)


def test_others_survive_with_the_retain_chance() -> None:
    setting = EvolutionSettings(population=1000, generations=2, retain=10, retain_chance=0.1)
    start = first_generation(BUDGETS[2], setting, seed=0)
    ranked = list(map(tuple, start.children.tolist()))
    proposal = next_generation(ranked, set(), BUDGETS[2], setting, seed=0, generation=2)
    assert proposal.survivors[:10] == tuple(range(10))
    assert 60 < len(proposal.survivors) - 10 < 140


def test_parents_at_the_bound_have_offspring() -> None:
    """A budget that random children almost never satisfy: repair keeps them near their parents."""
    parents = first_generation(BUDGETS[0], SETTINGS, seed=0).children[:4]
    ranked = list(map(tuple, parents.tolist()))
    seen = {bytes(genes) for genes in ranked}
    proposal = next_generation(ranked, seen, BUDGETS[0], SETTINGS, seed=0, generation=2)
    nearest = (proposal.children[:, None] != parents[None]).sum(2).min(1)
    assert len(proposal.children) == 16
    assert np.median(nearest) <= 6


@pytest.mark.parametrize("factor", [1.0, 1.001, 1.003])
def test_a_space_of_few_architectures_ends_early(factor: float) -> None:
    budget = Space.of(FlopsBudget(TABLE, round(SMALLEST * factor)))
    assert budget.count < 40
    proposals = run(budget, 3, EvolutionSettings(population=50, generations=3))
    assert [len(proposal.children) for proposal in proposals] == [budget.count, 0, 0]


@pytest.mark.parametrize(
    "bad", [{"population": 2, "retain": 2}, {"generations": 0}, {"retain": 1}, {"retain": 50}]
)
def test_impossible_settings_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(UserError, match="cannot run with"):
        EvolutionSettings(**bad)


def test_the_paper_settings_cost_about_730_evaluations() -> None:
    assert EvolutionSettings().expected_evaluations == 734
