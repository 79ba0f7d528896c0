"""NSGA-II: the front of FLOPs, latency and reward in one search (Deb et al. 2002).

Non-dominated sorting and crowding distances are pymoo's. The start and the children are ours, as in
every strategy, so that candidates hold the bounds and none is proposed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError
from edgecmp.search.evaluation.candidate import Candidate
from edgecmp.search.space.space import Rows, Space
from edgecmp.search.strategies.base import best_first, spread_start
from edgecmp.search.strategies.crossover import bred

__all__ = ["ParetoSearch", "ParetoSettings", "ranks_and_crowding"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ParetoSettings:
    """Sizes and chances.

    Attributes:
        population: architectures alive, and evaluated in each generation.
        generations: the random start counts as one.
        mutate_chance: chance of each gene of a child to be redrawn.
    """

    population: int = 40
    generations: int = 18
    mutate_chance: float = 0.1

    def __post_init__(self) -> None:
        if self.population < 3 or self.generations < 1:
            raise UserError(
                f"A search of {self.generations} generations of {self.population} cannot run.",
                "Use at least 1 generation and a population of at least 3.",
            )


class ParetoSearch:
    """Keeps the fronts, and on the last that fits those that stand apart most.

    Args:
        spaces: the widest bound first; children are bred in that one, and the start is spread over
            all of them.
        settings: sizes and chances.
        reward: to be large; FLOPs, and the latency where a table bounds it, are to be small.
        seed: of start and breeding.

    Raises:
        UserError: pymoo is not installed.
    """

    def __init__(
        self, spaces: Sequence[Space], settings: ParetoSettings, reward: str, seed: int
    ) -> None:
        _sorting()
        self.generations = settings.generations
        self.expected_evaluations = settings.generations * settings.population
        self.alive: Sequence[Candidate] = ()
        self.exhausted = False
        self._spaces = spaces
        self._settings = settings
        self._reward = reward
        self._seed = seed
        self._seen: set[bytes] = set()

    def propose(self, generation: int) -> Rows:
        """Children of parents that won a comparison of two: by front, then by crowding."""
        rng = np.random.default_rng((self._seed, generation))
        wanted = self._settings.population
        if generation == 1:
            rows = spread_start(self._spaces, rng, wanted, self._seen)
        else:
            ranks, crowding = ranks_and_crowding(self._costs(self.alive))
            place = np.lexsort((-crowding, ranks)).argsort()  # 0 for the best
            pairs = rng.integers(len(self.alive), size=(2 * wanted, 2))
            winners = np.where(place[pairs[:, 0]] < place[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
            parents = np.array([self.alive[winner].genes for winner in winners], np.uint8)
            chance = self._settings.mutate_chance
            rows = bred(self._spaces[0], rng, parents, wanted, self._seen, mutate_chance=chance)
        self.exhausted = len(rows) < wanted
        return rows

    def tell(self, children: Sequence[Candidate]) -> None:
        """The best of parents and children live on."""
        everyone = [*self.alive, *children]
        ranks, crowding = ranks_and_crowding(self._costs(everyone))
        kept = np.lexsort((-crowding, ranks))[: self._settings.population]
        self.alive = best_first([everyone[position] for position in kept], self._reward)

    def _costs(self, candidates: Sequence[Candidate]) -> NDArray[np.float64]:
        """(N, 2 or 3): what is to be small."""
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
    """The front that each row is on, from 0, and its crowding distance there.

    Args:
        costs: (N, K), each to be small.

    Raises:
        UserError: pymoo is not installed.
    """
    sorting, crowding_function = _sorting()
    crowding = np.empty(len(costs))
    ranks = np.empty(len(costs), np.intp)
    for rank, front in enumerate(sorting().do(costs)):
        ranks[front] = rank
        crowding[front] = crowding_function("cd").do(costs[front])
    return ranks, crowding


def _sorting() -> tuple[Any, Any]:
    """pymoo's sorting and its table of crowding distances."""
    try:
        from pymoo.operators.survival.rank_and_crowding.metrics import get_crowding_function
        from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
    except ImportError as error:
        raise UserError(
            f"{error.name} is missing, which sorts the front.",
            "Install it with `pip install 'edgecmp[pareto]'`.",
        ) from error
    return NonDominatedSorting, get_crowding_function
