"""The evolution of supplement A.3, and its steps as pure functions.

The best fifth of a population survives, and each other member with a probability of 0.1. Survivors
are the parents: children are gene-wise uniform crossovers of two of them, with each gene mutated
with a probability of 0.1, until the population is full again. Children satisfy the constraint, and
nothing is proposed twice in a search. Each generation has its own random generator, seeded with
(seed, generation), so that a search resumes at any generation from its history alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from edgecmp.errors import UserError
from edgecmp.search.evaluation.candidate import Candidate
from edgecmp.search.space.space import Rows, Space
from edgecmp.search.strategies.base import (
    SearchSize,
    Strategy,
    StrategySettings,
    best_first,
    register_strategy,
)
from edgecmp.search.strategies.crossover import offspring, sample_unseen

__all__ = ["Evolution", "EvolutionSettings", "Proposal", "first_generation", "next_generation"]


@register_strategy("evolution")
@dataclass(frozen=True, kw_only=True, slots=True)
class EvolutionSettings(StrategySettings):
    """Supplement A.3: about 730 evaluations in full, about 100 in the quick search.

    Attributes:
        population: size of the population.
        generations: including the random initial one.
        retain: number of best candidates that always survive.
        retain_chance: probability that each other candidate survives.
        mutate_chance: probability that a gene of a child is mutated.
    """

    full: ClassVar[SearchSize] = SearchSize(population=50, generations=20)
    quick: ClassVar[SearchSize] = SearchSize(population=20, generations=7)
    several_budgets: ClassVar[bool] = False

    population: int = full.population
    generations: int = full.generations
    retain: int = 10
    retain_chance: float = 0.1
    mutate_chance: float = 0.1

    def __post_init__(self) -> None:
        if self.population < 3 or self.generations < 1 or not 2 <= self.retain < self.population:
            raise UserError(
                f"The evolution cannot run with a population of {self.population}, "
                f"{self.generations} generations and {self.retain} retained candidates.",
                "Use a population of at least 3, at least 1 generation, and retain at least 2 "
                "candidates but not all.",
            )

    @classmethod
    def of_size(cls, size: SearchSize, *, quick: bool) -> Self:
        """The settings of that size, which retain the best fifth."""
        return cls(
            population=size.population,
            generations=size.generations,
            retain=max(2, size.population // 5),
        )

    @property
    def expected_evaluations(self) -> int:
        """About how many architectures a search evaluates."""
        survivors = self.retain + self.retain_chance * (self.population - self.retain)
        return round(self.population + (self.generations - 1) * (self.population - survivors))

    def build(self, spaces: Sequence[Space], *, reward: str, seed: int) -> Evolution:
        """The evolution within the first of the spaces."""
        return Evolution(spaces, self, reward=reward, seed=seed)


class Evolution(Strategy[EvolutionSettings]):
    """The evolution of supplement A.3, within the first of its spaces."""

    _survivors: Sequence[Candidate] = ()

    def ask(self, generation: int) -> Rows:
        """Children that replace the candidates that do not survive."""
        proposal = self._proposal(generation)
        self._survivors = [self.population[index] for index in proposal.survivors]
        total = len(self._survivors) + len(proposal.children)
        self.exhausted = total < self._settings.population
        return proposal.children

    def tell(self, candidates: Sequence[Candidate]) -> None:
        """Survivors and children become the population."""
        self._seen |= {bytes(candidate.genes) for candidate in candidates}
        self.population = best_first([*self._survivors, *candidates], self._reward)

    def _proposal(self, generation: int) -> Proposal:
        if generation == 1:
            return first_generation(self._spaces[0], self._settings, seed=self._seed)
        return next_generation(
            [candidate.genes for candidate in self.population],
            self._seen,
            self._spaces[0],
            self._settings,
            seed=self._seed,
            generation=generation,
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a generation consists of.

    Attributes:
        survivors: indices into the ranked population, best first.
        children: genes to evaluate, (M, G); M is 0 when the space has no new architecture.
    """

    survivors: tuple[int, ...]
    children: Rows


def first_generation(space: Space, settings: EvolutionSettings, *, seed: int) -> Proposal:
    """The random initial population: distinct uniform samples of the space."""
    rng = np.random.default_rng((seed, 1))
    return Proposal((), sample_unseen(space, rng, settings.population, set()))


def next_generation(
    ranked: Sequence[tuple[int, ...]],
    seen: set[bytes],
    space: Space,
    settings: EvolutionSettings,
    *,
    seed: int,
    generation: int,
) -> Proposal:
    """Survivors of a population and the children that replace the rest.

    Args:
        ranked: the population's genes, best first.
        seen: genes of everything proposed in this search so far, as bytes.
        space: contains the children.
        settings: sizes and probabilities.
        seed: of the search.
        generation: number of the generation to create, 2 or more.

    Returns:
        Fewer children than the settings ask for only if the space has no more.
    """
    rng = np.random.default_rng((seed, generation))
    survives = rng.random(len(ranked)) < settings.retain_chance
    survives[: settings.retain] = True
    survivors = tuple(np.flatnonzero(survives).tolist())
    parents = np.array([ranked[index] for index in survivors], np.uint8)
    children = offspring(
        space,
        rng,
        parents,
        settings.population - len(survivors),
        set(seen),
        mutate_chance=settings.mutate_chance,
    )
    return Proposal(survivors, children)
