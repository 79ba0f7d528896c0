"""Search by a predictor: measure random architectures, then those predicted to be best.

Each round fits the predictor to all measurements, runs an evolution on its predictions alone (a
third of a million per second), and proposes the best predicted ones, different from each other, for
measurement. With several budgets each round is divided between them, and all learn from all
measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError
from edgecmp.search.evaluation.candidate import Candidate
from edgecmp.search.evaluation.rewards import reward as reward_named
from edgecmp.search.space.space import Rows, Space
from edgecmp.search.strategies.base import (
    SearchSize,
    Strategy,
    StrategySettings,
    best_first,
    register_strategy,
    spread_start,
)
from edgecmp.search.strategies.crossover import offspring, sample_unseen, take_unseen
from edgecmp.search.strategies.gaussian_process import Predictor, fit_predictor

__all__ = ["PredictorSearch", "PredictorSettings"]

START_BATCHES, QUICK_START_BATCHES = 10, 4
"""Random architectures measured before the first round, in batches."""

SURROGATE_POPULATION, SURROGATE_GENERATIONS, SURROGATE_PARENTS = 256, 20, 64
"""Of the evolution on predictions: about 5,000 architectures per round and budget."""

MUTATE_CHANCE = 0.1

MIN_DISTANCE = 3
"""Fewest genes by which the architectures of a round differ, as far as there are such."""


@register_strategy("predictor")
@dataclass(frozen=True, kw_only=True, slots=True)
class PredictorSettings(StrategySettings):
    """Search by a predictor: 400 evaluations in full, 100 in the quick search.

    Attributes:
        start: random architectures measured first.
        batch: architectures measured in each round after that.
        generations: rounds, including the random initial one.
    """

    full: ClassVar[SearchSize] = SearchSize(population=20, generations=11)
    quick: ClassVar[SearchSize] = SearchSize(population=10, generations=7)

    start: int = START_BATCHES * full.population
    batch: int = full.population
    generations: int = full.generations

    def __post_init__(self) -> None:
        if self.start < 3 or self.batch < 1 or self.generations < 1:
            raise UserError(
                f"The search by a predictor cannot run with {self.start} initial architectures, "
                f"batches of {self.batch} and {self.generations} generations.",
                "Use at least 3 initial architectures, batches of at least 1, and at least 1 "
                "generation.",
            )

    @classmethod
    def of_size(cls, size: SearchSize, *, quick: bool) -> Self:
        """The settings of that size: batches of its population, after several at random."""
        batches = QUICK_START_BATCHES if quick else START_BATCHES
        return cls(
            start=batches * size.population,
            batch=size.population,
            generations=size.generations,
        )

    @property
    def expected_evaluations(self) -> int:
        """How many architectures a search evaluates."""
        return self.start + (self.generations - 1) * self.batch

    def build(self, spaces: Sequence[Space], *, reward: str, seed: int) -> PredictorSearch:
        """The search by a predictor with these settings."""
        return PredictorSearch(spaces, self, reward=reward, seed=seed)


class PredictorSearch(Strategy[PredictorSettings]):
    """Proposes the architectures with the best predicted reward, in each of its spaces.

    The population consists of all measured candidates.
    """

    _measured: Sequence[Candidate] = ()
    """In the order of evaluation, which the predictor's last bits depend on."""

    def ask(self, generation: int) -> Rows:
        """The random initial architectures, or the best predicted ones."""
        rng = np.random.default_rng((self._seed, generation))
        wanted = self._settings.start if generation == 1 else self._settings.batch
        if generation == 1:
            rows = spread_start(self._spaces, rng, wanted, self._seen)
        else:
            rows = self._best_predicted(rng, wanted)
        self.exhausted = len(rows) < wanted
        return rows

    def tell(self, candidates: Sequence[Candidate]) -> None:
        """The measurements are added to those that the predictor is fitted to."""
        self._measured = [*self._measured, *candidates]
        self.population = best_first(self._measured, self._reward)

    def _best_predicted(self, rng: np.random.Generator, n: int) -> Rows:
        """N rows, shared between the spaces.

        The first space gets the remainder, and what a smaller budget's space cannot fill.
        """
        predictor = self._fitted()
        share = n // len(self._spaces)
        rows = [self._evolved(space, predictor, rng, share) for space in self._spaces[1:]]
        missing = n - sum(map(len, rows))
        return np.concatenate((self._evolved(self._spaces[0], predictor, rng, missing), *rows))

    def _fitted(self) -> Predictor:
        rows = np.array([candidate.genes for candidate in self._measured], np.uint8)
        accuracies = np.array([(candidate.mqq, candidate.mqg) for candidate in self._measured])
        return fit_predictor(self._spaces[0].choices, rows, self._spaces[0].flops(rows), accuracies)

    def _evolved(
        self, space: Space, predictor: Predictor, rng: np.random.Generator, n: int
    ) -> Rows:
        """The best N unmeasured rows of an evolution on predictions."""
        measured = np.array([candidate.genes for candidate in self.population], np.uint8)
        pool = measured[space.contains(measured)][:SURROGATE_PARENTS]
        seen = {row.tobytes() for row in pool}
        pool = np.concatenate((pool, sample_unseen(space, rng, SURROGATE_POPULATION, seen)))
        values = self._predicted(space, predictor, pool)
        for _ in range(SURROGATE_GENERATIONS):
            parents = pool[np.argsort(-values, kind="stable")[:SURROGATE_PARENTS]]
            children = offspring(
                space, rng, parents, SURROGATE_POPULATION, seen, mutate_chance=MUTATE_CHANCE
            )
            pool = np.concatenate((pool, children))
            values = np.concatenate((values, self._predicted(space, predictor, children)))
        ranked = pool[np.argsort(-values, kind="stable")]
        return _diverse(ranked, self._seen, n)

    def _predicted(self, space: Space, predictor: Predictor, rows: Rows) -> NDArray[np.float64]:
        """(N,) predicted rewards."""
        reward = reward_named(self._reward)
        accuracies = predictor.predict(rows, space.flops(rows)).clip(0, 1)
        return np.array([reward(mqq, mqg) for mqq, mqg in accuracies.tolist()])


def _diverse(ranked: Rows, seen: set[bytes], n: int) -> Rows:
    """The first N unseen rows at `MIN_DISTANCE` from each other, filled up with closer ones."""
    chosen = np.empty((0, ranked.shape[1]), np.uint8)
    for row in ranked:
        if len(chosen) == n:
            break
        if ((chosen != row).sum(1) >= MIN_DISTANCE).all():
            chosen = np.concatenate((chosen, take_unseen(row[None], seen, 1)))
    return np.concatenate((chosen, take_unseen(ranked, seen, n - len(chosen))))
