"""Strategies: what a search evaluates next; and the evolution as one of them.

A strategy is asked for a generation, told what was measured, and asked for the next. Each
generation follows from the seed, its number and what was told before, so a search is taken up
anywhere by telling a new strategy what the history holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from edgecmp.errors import UserError
from edgecmp.search.evaluation.candidate import Candidate
from edgecmp.search.space.space import Rows, Space
from edgecmp.search.strategies.crossover import fresh
from edgecmp.search.strategies.evolution import (
    EvolutionSettings,
    Proposal,
    first_generation,
    next_generation,
)

__all__ = ["Evolution", "Strategy", "best_first", "spread_start"]


class Strategy(Protocol):
    """Proposes generations; all of a generation are told before the next is asked for."""

    generations: int
    """How many it has at most; the random start counts as one."""

    expected_evaluations: int
    """About how many architectures are evaluated in all."""

    alive: Sequence[Candidate]
    """Those that the next generation is made from, best first."""

    exhausted: bool
    """The space held fewer new architectures than the last generation asked for."""

    def propose(self, generation: int) -> Rows:
        """Rows to evaluate, none of them proposed before."""

    def tell(self, children: Sequence[Candidate]) -> None:
        """What was measured of the last proposal, in its order."""


class Evolution:
    """The evolution of supplement A.3."""

    def __init__(self, space: Space, settings: EvolutionSettings, reward: str, seed: int) -> None:
        self.generations = settings.generations
        self.expected_evaluations = settings.expected_evaluations
        self.alive: Sequence[Candidate] = ()
        self.exhausted = False
        self._space = space
        self._settings = settings
        self._reward = reward
        self._seed = seed
        self._seen: set[bytes] = set()
        self._survivors: list[Candidate] = []

    def propose(self, generation: int) -> Rows:
        """Children that replace what does not survive."""
        proposal = self._proposal(generation)
        self._survivors = [self.alive[position] for position in proposal.survivors]
        total = len(self._survivors) + len(proposal.children)
        self.exhausted = total < self._settings.population
        return proposal.children

    def tell(self, children: Sequence[Candidate]) -> None:
        """Survivors and children are the population."""
        self._seen |= {bytes(candidate.genes) for candidate in children}
        self.alive = best_first([*self._survivors, *children], self._reward)

    def _proposal(self, generation: int) -> Proposal:
        if generation == 1:
            return first_generation(self._space, self._settings, seed=self._seed)
        return next_generation(
            [candidate.genes for candidate in self.alive],
            self._seen,
            self._space,
            self._settings,
            seed=self._seed,
            generation=generation,
        )


def best_first(candidates: Sequence[Candidate], reward: str) -> list[Candidate]:
    """The candidates by `Candidate.order`."""
    return sorted(candidates, key=lambda candidate: candidate.order(reward))


def spread_start(
    spaces: Sequence[Space], rng: np.random.Generator, n: int, known: set[bytes]
) -> Rows:
    """N uniform samples that are not `known`, as many from each space; adds them to `known`.

    Raises:
        UserError: a space would get none.
    """
    if n < len(spaces):
        raise UserError(
            f"A start of {n} architectures cannot be spread over {len(spaces)} budgets.",
            "Use fewer budgets or a larger population.",
        )
    parts = np.array_split(np.arange(n), len(spaces))
    return np.concatenate(
        [fresh(space, rng, len(part), known) for space, part in zip(spaces, parts, strict=True)]
    )
