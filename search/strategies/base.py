"""Strategies, which decide what a search evaluates next, and the registry of them.

A strategy is asked for the first generation, told the measurements, asked for the next, and so on.
Each generation follows from the seed, its number and the measurements told before, so a search
resumes at any point by telling a new strategy the candidates of the history.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

import numpy as np

from edgecmp.errors import UserError, unknown_choice
from edgecmp.search.evaluation.candidate import Candidate
from edgecmp.search.space.space import Rows, Space
from edgecmp.search.strategies.crossover import sample_unseen

__all__ = [
    "STRATEGIES",
    "SearchSize",
    "Strategy",
    "StrategySettings",
    "best_first",
    "register_strategy",
    "spread_start",
    "strategy_named",
]


class SearchSize(NamedTuple):
    """How much a search evaluates.

    Attributes:
        population: architectures per generation.
        generations: including the random initial one.
    """

    population: int
    generations: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategySettings(ABC):
    """Base of the settings of all strategies; the fields of each must have defaults.

    Attributes:
        name: in the registry.
        full: the size of an ordinary search.
        quick: the size of a search of about 100 evaluations.
        several_budgets: whether one search may also optimise for smaller budgets.
    """

    name: ClassVar[str]
    full: ClassVar[SearchSize]
    quick: ClassVar[SearchSize]
    several_budgets: ClassVar[bool] = True

    @classmethod
    def preset(
        cls, *, quick: bool = False, population: int | None = None, generations: int | None = None
    ) -> Self:
        """The settings of the full or the quick size, changed as given.

        Raises:
            UserError: the strategy cannot run at that size.
        """
        size = cls.quick if quick else cls.full
        if population is not None:
            size = size._replace(population=population)
        if generations is not None:
            size = size._replace(generations=generations)
        return cls.of_size(size, quick=quick)

    @classmethod
    @abstractmethod
    def of_size(cls, size: SearchSize, *, quick: bool) -> Self:
        """The settings of that size.

        Raises:
            UserError: the strategy cannot run at that size.
        """

    @property
    @abstractmethod
    def generations(self) -> int:
        """The most generations, including the random initial one."""

    @property
    @abstractmethod
    def expected_evaluations(self) -> int:
        """About how many architectures a search evaluates."""

    @abstractmethod
    def build(self, spaces: Sequence[Space], *, reward: str, seed: int) -> Strategy[Any]:
        """The strategy with these settings; see `Strategy` for the arguments."""

    def to_dict(self) -> dict[str, Any]:
        """The part of a history's header that describes them."""
        return asdict(self)


Settings = TypeVar("Settings", bound=StrategySettings)


class Strategy(ABC, Generic[Settings]):
    """Proposes generations; it is told all of a generation before it is asked for the next.

    Attributes:
        population: the candidates that the next generation is derived from, best first.
        exhausted: the space had fewer new architectures than the last generation asked for.

    Args:
        spaces: the largest budget first.
        settings: sizes and probabilities.
        reward: the reward to be maximised.
        seed: of the initial generation and of all that follow.
    """

    def __init__(
        self, spaces: Sequence[Space], settings: Settings, *, reward: str, seed: int
    ) -> None:
        self.population: Sequence[Candidate] = ()
        self.exhausted = False
        self._spaces = spaces
        self._settings = settings
        self._reward = reward
        self._seed = seed
        self._seen: set[bytes] = set()

    @abstractmethod
    def ask(self, generation: int) -> Rows:
        """Rows to evaluate, none of them proposed before."""

    @abstractmethod
    def tell(self, candidates: Sequence[Candidate]) -> None:
        """Takes the measurements of the rows last asked for, in their order."""


STRATEGIES: dict[str, type[StrategySettings]] = {}
"""The settings type of each strategy, by name."""

Kind = TypeVar("Kind", bound=type[StrategySettings])


def register_strategy(name: str) -> Callable[[Kind], Kind]:
    """Registers a strategy by its settings type."""

    def register(kind: Kind) -> Kind:
        kind.name = name
        STRATEGIES[name] = kind
        return kind

    return register


def strategy_named(name: str) -> type[StrategySettings]:
    """The settings type of the strategy of that name.

    Raises:
        UserError: there is no such strategy; the message lists them.
    """
    if name not in STRATEGIES:
        raise unknown_choice("strategy", name, STRATEGIES)
    return STRATEGIES[name]


def best_first(candidates: Sequence[Candidate], reward: str) -> list[Candidate]:
    """The candidates sorted by `Candidate.order`."""
    return sorted(candidates, key=lambda candidate: candidate.order(reward))


def spread_start(
    spaces: Sequence[Space], rng: np.random.Generator, n: int, seen: set[bytes]
) -> Rows:
    """N uniform samples that are not in `seen`, equally many per space; adds them to `seen`.

    Raises:
        UserError: there are fewer samples than spaces.
    """
    if n < len(spaces):
        raise UserError(
            f"An initial population of {n} is too small for {len(spaces)} budgets.",
            f"Use at most {n} budgets, or a larger population.",
        )
    parts = np.array_split(np.arange(n), len(spaces))
    return np.concatenate(
        [
            sample_unseen(space, rng, len(part), seen)
            for space, part in zip(spaces, parts, strict=True)
        ]
    )
