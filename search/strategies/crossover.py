"""New rows of genes by crossover or sampling: each within the space, and none twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecmp.networks.tiers import DEPTH
from edgecmp.search.space.space import LAYER_GENES, Rows, Space

__all__ = ["offspring", "sample_unseen", "take_unseen"]

OVERSAMPLE = 4
"""Children created per child wanted; repaired ones are used only if over 3 in 4 leave the space."""

CROSSOVER_ROUNDS = 8
SAMPLING_ROUNDS = 64
SAMPLES_PER_ROUND = 256


def offspring(
    space: Space,
    rng: np.random.Generator,
    parents: Rows,
    n: int,
    seen: set[bytes],
    *,
    mutate_chance: float,
) -> Rows:
    """N children that are not in `seen`, filled up with samples where crossover finds too few.

    Each child is a gene-wise uniform crossover of two parents, and each gene is mutated with a
    probability of `mutate_chance`. The number of attempts is bounded. Adds the children to `seen`.
    """
    children = np.empty((0, parents.shape[1]), np.uint8)
    for _ in range(CROSSOVER_ROUNDS):
        if len(children) >= n or len(seen) >= space.count:
            break
        crossed = _crossed(rng, parents, OVERSAMPLE * n, space, mutate_chance)
        children = np.concatenate((children, take_unseen(crossed, seen, n - len(children))))
    missing = sample_unseen(space, rng, n - len(children), seen)
    return np.concatenate((children, missing))


def sample_unseen(space: Space, rng: np.random.Generator, n: int, seen: set[bytes]) -> Rows:
    """Up to N uniform samples that are not in `seen`, in bounded attempts; adds them to `seen`."""
    samples = np.empty((0, len(space.choices)), np.uint8)
    for _ in range(SAMPLING_ROUNDS):
        if len(samples) >= n or len(seen) >= space.count:
            break
        batch = space.sample(rng, SAMPLES_PER_ROUND)
        samples = np.concatenate((samples, take_unseen(batch, seen, n - len(samples))))
    return samples


def take_unseen(rows: Rows, seen: set[bytes], limit: int) -> Rows:
    """The first `limit` rows that are not in `seen`; adds them to `seen`."""
    chosen: list[int] = []
    for index, row in enumerate(rows):
        if len(chosen) == limit:
            break
        key = row.tobytes()
        if key not in seen:
            seen.add(key)
            chosen.append(index)
    return rows[chosen]


def _crossed(
    rng: np.random.Generator, parents: Rows, n: int, space: Space, mutate_chance: float
) -> Rows:
    """N children within the space, repaired ones last."""
    count, genes = parents.shape
    first = rng.integers(count, size=n)
    second = (first + rng.integers(1, max(count, 2), size=n)) % count  # another one, if there is
    mask = rng.random((n, genes)) < 0.5
    children = np.where(mask, parents[first], parents[second])
    mutated = rng.random((n, genes)) < mutate_chance
    mutations = rng.integers(space.choices, size=(n, genes), dtype=np.uint8)
    children = np.where(mutated, mutations, children)
    units = DEPTH + genes - LAYER_GENES
    order = rng.permuted(np.tile(np.arange(units), (n, 1)), axis=1)
    valid = space.contains(children)
    repaired = _repaired(children[~valid], parents[first[~valid]], order[~valid], space)
    return np.concatenate((children[valid], repaired))


def _repaired(children: Rows, parents: Rows, order: NDArray[np.intp], space: Space) -> Rows:
    """Children with units copied from a parent, in the given order, until they are in the space.

    A unit is a layer's two genes, or the input size. The parent is in the space, so each child is
    too once all units are copied, whatever the bound is.
    """
    children = children.copy()
    rows = np.arange(len(children))
    layers = np.arange(DEPTH)
    size = np.arange(LAYER_GENES, children.shape[1])
    pairs = np.stack((np.concatenate((layers, size)), np.concatenate((layers + DEPTH, size))))
    for unit in order.T:  # (n,) one unit of each child
        rows = rows[~space.contains(children[rows])]
        if not len(rows):
            break
        for genes in pairs[:, unit[rows]]:
            children[rows, genes] = parents[rows, genes]
    return children
