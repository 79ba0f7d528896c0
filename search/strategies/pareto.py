"""NSGA-II: the Pareto front of FLOPs, latency and reward in one search (Deb et al. 2002).

Non-dominated sorting and crowding distances are pymoo's. Initial population and offspring are those
of every strategy, so that candidates satisfy the bounds and none is proposed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError
from edgecmp.search.evaluation.candidate import Candidate
from edgecmp.search.space.space import Rows, Space
from edgecmp.search.strategies.base import (
    SearchSize,
    Strategy,
    StrategySettings,
    best_first,
    register_strategy,
    spread_start,
)
from edgecmp.search.strategies.crossover import offspring

__all__ = ["ParetoSearch", "ParetoSettings", "ranks_and_crowding"]


@register_strategy("pareto")
@dataclass(frozen=True, kw_only=True, slots=True)
class ParetoSettings(StrategySettings):
    """NSGA-II: 720 evaluations in full, 96 in the quick search.

    Attributes:
        population: size of the population, and of each generation.
        generations: including the random initial one.
        mutate_chance: probability that a gene of a child is mutated.

    Raises:
        UserError: they are out of range, or pymoo is not installed.
    """

    full: ClassVar[SearchSize] = SearchSize(population=40, generations=18)
    quick: ClassVar[SearchSize] = SearchSize(population=16, generations=6)

    population: int = full.population
    generations: int = full.generations
    mutate_chance: float = 0.1

    def __post_init__(self) -> None:
        if self.population < 3 or self.generations < 1:
            raise UserError(
                f"The Pareto search cannot run with a population of {self.population} and "
                f"{self.generations} generations.",
                "Use a population of at least 3 and at least 1 generation.",
            )
        _pymoo()  # fails now rather than after the supernet is loaded

    @classmethod
    def of_size(cls, size: SearchSize, *, quick: bool) -> Self:
        """The settings of that size."""
        return cls(population=size.population, generations=size.generations)

    @property
    def expected_evaluations(self) -> int:
        """How many architectures a search evaluates."""
        return self.generations * self.population

    def build(self, spaces: Sequence[Space], *, reward: str, seed: int) -> ParetoSearch:
        """NSGA-II with these settings."""
        return ParetoSearch(spaces, self, reward=reward, seed=seed)


class ParetoSearch(Strategy[ParetoSettings]):
    """Retains whole fronts, and of the last one the least crowded candidates.

    The initial population is spread over all spaces, and children are in the first. The reward is
    maximised; FLOPs and, where a table bounds it, the latency are minimised.
    """

    def ask(self, generation: int) -> Rows:
        """Children of parents selected by binary tournaments: by front, then by crowding."""
        rng = np.random.default_rng((self._seed, generation))
        wanted = self._settings.population
        if generation == 1:
            rows = spread_start(self._spaces, rng, wanted, self._seen)
        else:
            parents = self._tournaments(rng, 2 * wanted)
            chance = self._settings.mutate_chance
            rows = offspring(
                self._spaces[0], rng, parents, wanted, self._seen, mutate_chance=chance
            )
        self.exhausted = len(rows) < wanted
        return rows

    def tell(self, candidates: Sequence[Candidate]) -> None:
        """The best of parents and children become the population."""
        merged = [*self.population, *candidates]
        ranks, crowding = ranks_and_crowding(self._costs(merged))
        survivors = np.lexsort((-crowding, ranks))[: self._settings.population]
        self.population = best_first([merged[index] for index in survivors], self._reward)

    def _tournaments(self, rng: np.random.Generator, n: int) -> Rows:
        """Genes of the winners of N comparisons of two random members of the population."""
        ranks, crowding = ranks_and_crowding(self._costs(self.population))
        order = np.lexsort((-crowding, ranks)).argsort()  # 0 for the best
        pairs = rng.integers(len(self.population), size=(n, 2))
        winners = np.where(order[pairs[:, 0]] < order[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
        return np.array([self.population[winner].genes for winner in winners], np.uint8)

    def _costs(self, candidates: Sequence[Candidate]) -> NDArray[np.float64]:
        """(N, 2 or 3) costs to be minimised."""
        rows = np.array([candidate.genes for candidate in candidates], np.uint8)
        costs = [
            np.array([-candidate.reward(self._reward) for candidate in candidates]),
            np.array([float(candidate.flops) for candidate in candidates]),
        ]
        latencies = self._spaces[0].latencies(rows)
        return np.stack(costs if latencies is None else [*costs, latencies], 1)


def ranks_and_crowding(
    costs: NDArray[np.float64],
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The front of each row, from 0, and its crowding distance there.

    Args:
        costs: (N, K), each to be minimised.

    Raises:
        UserError: pymoo is not installed.
    """
    sorting, crowding_function = _pymoo()
    crowding = np.empty(len(costs))
    ranks = np.empty(len(costs), np.intp)
    for rank, front in enumerate(sorting().do(costs)):
        ranks[front] = rank
        crowding[front] = crowding_function("cd").do(costs[front])
    return ranks, crowding


def _pymoo() -> tuple[Any, Any]:
    """pymoo's non-dominated sorting and its lookup of crowding distances."""
    try:
        from pymoo.operators.survival.rank_and_crowding.metrics import get_crowding_function
        from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
    except ImportError as error:
        raise UserError(
            f"The pareto strategy needs {error.name}, which is not installed.",
            "Install it with `pip install 'edgecmp[pareto]'`.",
        ) from error
    return NonDominatedSorting, get_crowding_function
