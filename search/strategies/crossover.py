"""New rows of genes: bred from parents or drawn, never one twice, always within the space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecmp.networks.tiers import DEPTH
from edgecmp.search.space.space import LAYER_GENES, Rows, Space

__all__ = ["bred", "fresh", "new_rows"]

OVERSAMPLE = 4
"""Children bred for each one wanted; only where more than three in four leave the space are some of
those repaired."""

BREEDING_ROUNDS = 8
SAMPLING_ROUNDS = 64
SAMPLES_A_ROUND = 256


def bred(
    space: Space,
    rng: np.random.Generator,
    parents: Rows,
    n: int,
    known: set[bytes],
    *,
    mutate_chance: float,
) -> Rows:
    """N children of `parents` that are not `known` yet; samples where breeding finds no more.

    Each is a gene-wise uniform crossover of two parents, and each gene is redrawn with a chance of
    `mutate_chance`. Bounded work, and adds the children to `known`.
    """
    children = np.empty((0, parents.shape[1]), np.uint8)
    for _ in range(BREEDING_ROUNDS):
        if len(children) >= n or len(known) >= space.count:
            break
        crossed = _crossed(rng, parents, OVERSAMPLE * n, space, mutate_chance)
        children = np.concatenate((children, new_rows(crossed, known, n - len(children))))
    missing = fresh(space, rng, n - len(children), known)
    return np.concatenate((children, missing))


def fresh(space: Space, rng: np.random.Generator, n: int, known: set[bytes]) -> Rows:
    """Up to N uniform samples that are not `known` yet; bounded work, and adds them to `known`."""
    found = np.empty((0, len(space.choices)), np.uint8)
    for _ in range(SAMPLING_ROUNDS):
        if len(found) >= n or len(known) >= space.count:
            break
        drawn = space.sample(rng, SAMPLES_A_ROUND)
        found = np.concatenate((found, new_rows(drawn, known, n - len(found))))
    return found


def new_rows(rows: Rows, known: set[bytes], limit: int) -> Rows:
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


def _crossed(
    rng: np.random.Generator, parents: Rows, n: int, space: Space, mutate_chance: float
) -> Rows:
    """N children within the space; those that are by themselves come first."""
    count, genes = parents.shape
    first = rng.integers(count, size=n)
    second = (first + rng.integers(1, max(count, 2), size=n)) % count  # another one, if there is
    mask = rng.random((n, genes)) < 0.5
    children = np.where(mask, parents[first], parents[second])
    mutated = rng.random((n, genes)) < mutate_chance
    redrawn = rng.integers(space.choices, size=(n, genes), dtype=np.uint8)
    children = np.where(mutated, redrawn, children)
    units = DEPTH + genes - LAYER_GENES
    order = rng.permuted(np.tile(np.arange(units), (n, 1)), axis=1)
    held = space.holds(children)
    repaired = _repaired(children[~held], parents[first[~held]], order[~held], space)
    return np.concatenate((children[held], repaired))


def _repaired(children: Rows, parents: Rows, order: NDArray[np.intp], space: Space) -> Rows:
    """Children given units of a parent, in random order, one by one until they hold the bound.

    A unit is a layer's two genes, or the input size. The parent holds it, so each child does after
    all units at the latest, whatever the bound is.
    """
    children = children.copy()
    rows = np.arange(len(children))
    layers = np.arange(DEPTH)
    size = np.arange(LAYER_GENES, children.shape[1])
    pairs = np.stack((np.concatenate((layers, size)), np.concatenate((layers + DEPTH, size))))
    for unit in order.T:  # (n,) one unit of each child
        rows = rows[~space.holds(children[rows])]
        if not len(rows):
            break
        for genes in pairs[:, unit[rows]]:
            children[rows, genes] = parents[rows, genes]
    return children
