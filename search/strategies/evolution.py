"""The evolution of supplement A.3, as pure functions: population and seed in, next candidates out.

Parents are the best fifth of a population and each other member with a chance of 0.1; children are
gene-wise uniform crossovers of two parents, each gene redrawn with a chance of 0.1, until the
population is full again. Children obey the constraint, and nothing is proposed twice in a search.
Each generation has its own random generator, made from (seed, generation), so that a search can be
taken up at any generation from its history alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgecmp.errors import UserError
from edgecmp.search.space.space import Rows, Space
from edgecmp.search.strategies.crossover import bred, fresh

__all__ = ["EvolutionSettings", "Proposal", "first_generation", "next_generation"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EvolutionSettings:
    """Supplement A.3.

    Attributes:
        population: architectures alive in a generation.
        generations: the random start counts as one.
        retain: the best that always become parents.
        retain_chance: chance of each other to become a parent.
        mutate_chance: chance of each gene of a child to be redrawn.
    """

    population: int = 50
    generations: int = 20
    retain: int = 10
    retain_chance: float = 0.1
    mutate_chance: float = 0.1

    def __post_init__(self) -> None:
        if self.population < 3 or self.generations < 1 or not 2 <= self.retain < self.population:
            raise UserError(
                f"An evolution of {self.generations} generations of {self.population} that keeps "
                f"{self.retain} cannot run.",
                "Use at least 1 generation, a population of at least 3, and keep 2 or more of it.",
            )

    @property
    def expected_evaluations(self) -> int:
        """About how many architectures a search evaluates."""
        survivors = self.retain + self.retain_chance * (self.population - self.retain)
        return round(self.population + (self.generations - 1) * (self.population - survivors))


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a generation consists of.

    Attributes:
        survivors: positions in the ranked population that stay, best first.
        children: genes to evaluate, (M, G); M is 0 when the space holds nothing new.
    """

    survivors: tuple[int, ...]
    children: Rows


def first_generation(space: Space, settings: EvolutionSettings, *, seed: int) -> Proposal:
    """The random start: distinct uniform samples of the space."""
    rng = np.random.default_rng((seed, 1))
    return Proposal((), fresh(space, rng, settings.population, set()))


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
        seen: genes of everything ever proposed in this search, as bytes.
        space: what children belong to.
        settings: sizes and chances.
        seed: of the search.
        generation: the number of the generation to make, 2 or more.

    Returns:
        Fewer children than asked for only if the space holds no more.
    """
    rng = np.random.default_rng((seed, generation))
    lucky = rng.random(len(ranked)) < settings.retain_chance
    lucky[: settings.retain] = True
    survivors = tuple(np.flatnonzero(lucky).tolist())
    parents = np.array([ranked[position] for position in survivors], np.uint8)
    wanted = settings.population - len(survivors)
    known = set(seen)
    chance = settings.mutate_chance
    children = bred(space, rng, parents, wanted, known, mutate_chance=chance)
    return Proposal(survivors, children)
