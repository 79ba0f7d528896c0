"""Search by a predictor: measure some at random, then what a predictor of them likes best.

Each round fits the predictor to all that was measured, evolves on its predictions alone (a third of
a million a second), and proposes the best of that, apart from each other, to be measured. With
several budgets each round is shared between them, and all learn from all measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError
from edgecmp.search.evaluation.candidate import Candidate
from edgecmp.search.evaluation.rewards import reward as reward_named
from edgecmp.search.space.space import Rows, Space
from edgecmp.search.strategies.base import best_first, spread_start
from edgecmp.search.strategies.crossover import bred, fresh, new_rows
from edgecmp.search.strategies.gaussian_process import Predictor, fit_predictor

__all__ = ["PredictorSearch", "PredictorSettings"]

IMAGINED_POPULATION, IMAGINED_GENERATIONS, IMAGINED_PARENTS = 256, 20, 64
"""Of the evolution on predictions: about 5,000 architectures a round and budget."""

MUTATE_CHANCE = 0.1

APART = 3
"""Genes by which the architectures of a round differ at least, while there are such."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictorSettings:
    """Sizes.

    Attributes:
        start: random architectures measured first.
        batch: architectures measured in each round after that.
        generations: the random start counts as one.
    """

    start: int = 200
    batch: int = 20
    generations: int = 11

    def __post_init__(self) -> None:
        if self.start < 3 or self.batch < 1 or self.generations < 1:
            raise UserError(
                f"A search of {self.start} architectures at random and {self.generations - 1} "
                f"rounds of {self.batch} cannot run.",
                "Use at least 3 at random, 1 generation, and rounds of 1 or more.",
            )

    @property
    def expected_evaluations(self) -> int:
        """How many architectures a search evaluates."""
        return self.start + (self.generations - 1) * self.batch


class PredictorSearch:
    """Proposes what a predictor of the reward likes best.

    Args:
        spaces: the widest bound first; the best of each are searched.
        settings: sizes.
        reward: of the predicted accuracies, to be large.
        seed: of start and evolution.
    """

    def __init__(
        self, spaces: Sequence[Space], settings: PredictorSettings, reward: str, seed: int
    ) -> None:
        self.generations = settings.generations
        self.expected_evaluations = settings.expected_evaluations
        self.alive: Sequence[Candidate] = ()
        self.exhausted = False
        self._spaces = spaces
        self._settings = settings
        self._reward = reward
        self._seed = seed
        self._seen: set[bytes] = set()
        self._measured: list[Candidate] = []

    def propose(self, generation: int) -> Rows:
        """The random start, or the best by the predictor."""
        rng = np.random.default_rng((self._seed, generation))
        wanted = self._settings.start if generation == 1 else self._settings.batch
        if generation == 1:
            rows = spread_start(self._spaces, rng, wanted, self._seen)
        else:
            predictor = self._fitted()
            # The widest budget takes what is left over, and what a tighter one has no more of.
            parts = np.full(len(self._spaces), wanted // len(self._spaces))
            chosen = [
                self._imagined(space, predictor, rng, int(part))
                for space, part in zip(self._spaces[1:], parts[1:], strict=True)
            ]
            left = wanted - sum(map(len, chosen))
            chosen.insert(0, self._imagined(self._spaces[0], predictor, rng, left))
            rows = np.concatenate(chosen)
        self.exhausted = len(rows) < wanted
        return rows

    def tell(self, children: Sequence[Candidate]) -> None:
        """All that was measured is learnt from."""
        self._measured += children
        self.alive = best_first(self._measured, self._reward)

    def _fitted(self) -> Predictor:
        rows = np.array([candidate.genes for candidate in self._measured], np.uint8)
        accuracies = np.array([(candidate.mqq, candidate.mqg) for candidate in self._measured])
        return fit_predictor(self._spaces[0].choices, rows, self._spaces[0].flops(rows), accuracies)

    def _imagined(
        self, space: Space, predictor: Predictor, rng: np.random.Generator, n: int
    ) -> Rows:
        """The best N of an evolution on predictions that were not measured."""
        measured = np.array([candidate.genes for candidate in self.alive], np.uint8)
        pool = measured[space.holds(measured)][:IMAGINED_PARENTS]
        known = {row.tobytes() for row in pool}
        pool = np.concatenate((pool, fresh(space, rng, IMAGINED_POPULATION, known)))
        values = self._predicted(space, predictor, pool)
        for _ in range(IMAGINED_GENERATIONS):
            parents = pool[np.argsort(-values, kind="stable")[:IMAGINED_PARENTS]]
            children = bred(
                space, rng, parents, IMAGINED_POPULATION, known, mutate_chance=MUTATE_CHANCE
            )
            pool = np.concatenate((pool, children))
            values = np.concatenate((values, self._predicted(space, predictor, children)))
        ranked = pool[np.argsort(-values, kind="stable")]
        return _apart(ranked, self._seen, n)

    def _predicted(self, space: Space, predictor: Predictor, rows: Rows) -> NDArray[np.float64]:
        """(N,) rewards."""
        value = reward_named(self._reward)
        accuracies = predictor.predict(rows, space.flops(rows)).clip(0, 1)
        return np.array([value(mqq, mqg) for mqq, mqg in accuracies.tolist()])


def _apart(ranked: Rows, known: set[bytes], n: int) -> Rows:
    """The first N rows that are new and differ from each other; then the first that are new."""
    chosen = np.empty((0, ranked.shape[1]), np.uint8)
    for row in ranked:
        if len(chosen) == n:
            break
        if ((chosen != row).sum(1) >= APART).all():
            chosen = np.concatenate((chosen, new_rows(row[None], known, 1)))
    return np.concatenate((chosen, new_rows(ranked, known, n - len(chosen))))
