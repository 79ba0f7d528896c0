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
from numpy.typing import NDArray

from edgecmp.architecture import BLOCKS, DEPTH, WIDTHS
from edgecmp.errors import UserError
from edgecmp.search.constraint import Constraint

__all__ = ["EvolutionSettings", "Proposal", "first_generation", "next_generation"]

Rows = NDArray[np.uint8]
"""(N, 40) genes: 20 blocks, then 20 widths."""

GENES = 2 * DEPTH
CHOICES = np.array([len(BLOCKS)] * DEPTH + [len(WIDTHS)] * DEPTH)
"""Values each gene can take, (40,)."""

OVERSAMPLE = 4
"""Children bred for each one wanted; only where more than three in four break the constraint are
some of those repaired."""

BREEDING_ROUNDS = 8
SAMPLING_ROUNDS = 64
SAMPLES_A_ROUND = 256


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
        children: genes to evaluate, (M, 40); M is 0 when nothing new obeys the constraint.
    """

    survivors: tuple[int, ...]
    children: Rows


def first_generation(constraint: Constraint, settings: EvolutionSettings, *, seed: int) -> Proposal:
    """The random start: distinct uniform samples under the constraint."""
    rng = np.random.default_rng((seed, 1))
    return Proposal((), _sampled(constraint, rng, settings.population, set()))


def next_generation(
    ranked: Sequence[tuple[int, ...]],
    seen: set[bytes],
    constraint: Constraint,
    settings: EvolutionSettings,
    *,
    seed: int,
    generation: int,
) -> Proposal:
    """Survivors of a population and the children that replace the rest.

    Args:
        ranked: the population's genes (40 each), best first.
        seen: genes of everything ever proposed in this search, as bytes.
        constraint: what children obey.
        settings: sizes and chances.
        seed: of the search.
        generation: the number of the generation to make, 2 or more.

    Returns:
        Fewer children than asked for only if the space under the constraint holds no more.
    """
    rng = np.random.default_rng((seed, generation))
    lucky = rng.random(len(ranked)) < settings.retain_chance
    lucky[: settings.retain] = True
    survivors = tuple(np.flatnonzero(lucky).tolist())
    parents = np.array([ranked[position] for position in survivors], np.uint8)
    wanted = settings.population - len(survivors)
    children = np.empty((0, GENES), np.uint8)
    known = set(seen)
    for _ in range(BREEDING_ROUNDS):
        if len(children) >= wanted or len(known) >= constraint.count:
            break
        bred = _bred(rng, parents, OVERSAMPLE * wanted, constraint, settings.mutate_chance)
        children = np.concatenate((children, _new(bred, known, wanted - len(children))))
    missing = _sampled(constraint, rng, wanted - len(children), known)
    return Proposal(survivors, np.concatenate((children, missing)))


def _bred(
    rng: np.random.Generator, parents: Rows, n: int, constraint: Constraint, mutate_chance: float
) -> Rows:
    """N children that obey the constraint; those that do by themselves come first."""
    count = len(parents)
    first = rng.integers(count, size=n)
    second = (first + rng.integers(1, max(count, 2), size=n)) % count  # another one, if there is
    mask = rng.random((n, GENES)) < 0.5
    bred = np.where(mask, parents[first], parents[second])
    mutated = rng.random((n, GENES)) < mutate_chance
    bred = np.where(mutated, rng.integers(CHOICES, size=(n, GENES), dtype=np.uint8), bred)
    order = rng.permuted(np.tile(np.arange(DEPTH), (n, 1)), axis=1)
    held = _holds(constraint, bred)
    return np.concatenate(
        (bred[held], _repaired(bred[~held], parents[first[~held]], order[~held], constraint))
    )


def _repaired(
    children: Rows, parents: Rows, order: NDArray[np.intp], constraint: Constraint
) -> Rows:
    """Children given layers of a parent, in random order, one by one until they obey.

    The parent obeys, so each child does after 20 layers at the latest, whatever the constraint is.
    """
    children = children.copy()
    rows = np.arange(len(children))
    for layer in order.T:  # (n,) one layer of each child
        rows = rows[~_holds(constraint, children[rows])]
        if not len(rows):
            break
        for gene in (layer[rows], layer[rows] + DEPTH):
            children[rows, gene] = parents[rows, gene]
    return children


def _sampled(constraint: Constraint, rng: np.random.Generator, n: int, known: set[bytes]) -> Rows:
    """Up to N uniform samples that are not `known` yet; bounded work, and adds them to `known`."""
    found = np.empty((0, GENES), np.uint8)
    for _ in range(SAMPLING_ROUNDS):
        if len(found) >= n or len(known) >= constraint.count:
            break
        drawn = np.hstack(constraint.sample(rng, SAMPLES_A_ROUND))
        found = np.concatenate((found, _new(drawn, known, n - len(found))))
    return found


def _new(rows: Rows, known: set[bytes], limit: int) -> Rows:
    """The first `limit` rows that are not `known`, which then are."""
    chosen: list[int] = []
    for position, row in enumerate(rows):
        if len(chosen) == limit:
            break
        key = row.tobytes()
        if key not in known:
            known.add(key)
            chosen.append(position)
    return rows[chosen]


def _holds(constraint: Constraint, rows: Rows) -> NDArray[np.bool_]:
    return constraint.holds(rows[:, :DEPTH], rows[:, DEPTH:])
