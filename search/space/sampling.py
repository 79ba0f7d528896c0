"""Uniform samples from the architectures under one or two bounds, and how many there are.

A cost that is a sum over layers (FLOPs, a latency table) makes the space under a bound countable:
the completions of layers i..19 within what is left of the bound follow from those of layers
i+1..19. A sample then walks the layers and picks each choice in proportion to its completions, so
however small the feasible share is, samples come at once. With two costs the same is counted over
pairs of what is left of both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from edgecmp.networks.tiers import DEPTH, WIDTHS
from edgecmp.search.space.flops import CHOICES, Genes

__all__ = ["MAX_BINS", "BudgetSampler"]

MAX_BINS = 1 << 20
"""Longest count table a layer, one cost. FLOPs at 224 stay below: they are multiples of 784."""

MAX_PAIRS = 1 << 18
"""The same for two costs, 512 bins each: a quarter of a second and 44 MB."""

MAX_LISTED = 1 << 16
"""Up to so many architectures under rounded bounds are listed, which is exact again."""

ESTIMATED = 2_000
"""Draws that hold the bounds, for an estimate of how many do: within 5 % in 95 of 100 cases."""

ROUND, MAX_ROUNDS, ESTIMATE_ROUNDS = 1 << 14, 64, 16
"""Draws at once; how often at most, for samples and for the estimate."""


class BudgetSampler:
    """Counts and samples the architectures whose summed costs are at most their bounds.

    One cost is counted in units of its greatest common divisor, which is exact. Two costs, or one
    that would need more than `max_bins` bins, are rounded down to coarser units, and what is over
    a bound after all is drawn again: the samples are exactly uniform over the feasible set all the
    same, and only `count` is estimated, unless it is small.

    Attributes:
        exact: nothing was rounded.
        estimated: `count` is an estimate, within a few percent.
        count: how many architectures hold the bounds; else whole, up to 1e-12 of it.

    Args:
        costs: (20, 40) int64 each, the cost of each choice (block * 10 + width) of each layer; may
            be rounded down.
        bounds: the largest sum allowed of each; may be rounded up.
        holds: which of N architectures, blocks and widths (N, 20) each, are feasible: (N,).
        max_bins: bins of one cost, at most.
    """

    def __init__(
        self,
        costs: Sequence[NDArray[np.int64]],
        bounds: Sequence[int],
        holds: Callable[[Genes, Genes], NDArray[np.bool_]],
        *,
        max_bins: int = MAX_BINS,
    ) -> None:
        self._holds = holds
        excess = [cost - cost.min(1, keepdims=True) for cost in costs]
        slack = [
            min(bound - int(cost.min(1).sum()), int(over.max(1).sum()))
            for cost, bound, over in zip(costs, bounds, excess, strict=True)
        ]
        binding = [left < int(over.max(1).sum()) for left, over in zip(slack, excess, strict=True)]
        limit = max_bins if sum(binding) < 2 else int(MAX_PAIRS ** (1 / 2))
        steps, bins, self.exact = [], [], len(costs) == 1
        for over, left, binds in zip(excess, slack, binding, strict=True):
            divisor = max(1, int(np.gcd.reduce(over, axis=None)))
            unit = max(divisor, -(-max(left, 0) // limit))
            if len(costs) > 1 and not binds:
                unit = max(left, 1) * DEPTH  # one bin: nothing is ever over this bound
            self.exact &= unit == divisor
            steps.append(over // unit)
            bins.append(left // unit)
        self._steps = np.stack(steps)  # (K, 20, 40)
        self._bins = bins
        self._completions = self._counted()
        self._listed = self._list() if not self.exact and self._rounded <= MAX_LISTED else None
        self.estimated = not self.exact and self._listed is None
        self._rate = self._estimated_rate() if self.estimated else 1.0
        counted = self._rounded * self._rate if self._listed is None else len(self._listed)
        self.count = float(counted)

    @property
    def share(self) -> float:
        """The share of the whole space that holds the bounds, 0..1."""
        return self.count / float(CHOICES) ** DEPTH

    def sample(self, rng: np.random.Generator, n: int) -> tuple[Genes, Genes]:
        """N architectures that hold the bounds, independent and uniform.

        Returns:
            blocks and widths, (N, 20) uint8 each; fewer than `n` rows only if nothing is feasible.
        """
        if self._listed is not None:
            size = n if len(self._listed) else 0
            return _genes(self._listed[rng.integers(max(1, len(self._listed)), size=size)])
        kept = np.empty((0, DEPTH), np.int64)
        for _ in range(MAX_ROUNDS):
            if len(kept) >= n or not self.count:
                break
            wanted = n - len(kept)
            drawn = self._draw(rng, max(wanted, min(ROUND, ceil(wanted / self._rate))))
            kept = np.concatenate((kept, drawn[self._holds(*_genes(drawn))]))
        return _genes(kept[:n])

    @property
    def _rounded(self) -> float:
        """How many hold the bounds in rounded units."""
        return float(self._completions[(0, *self._bins)]) if min(self._bins) >= 0 else 0.0

    def _counted(self) -> NDArray[np.float64]:
        """(21, bins + 1, ...): the ways to choose layers i..19 within what is left of each bound.

        Exact up to 2^53.
        """
        completions = np.zeros((DEPTH + 1, *(max(bins, -1) + 1 for bins in self._bins)))
        completions[DEPTH] = 1
        for layer in reversed(range(DEPTH)):
            after, here = completions[layer + 1], completions[layer]
            for step in self._steps[:, layer].T.tolist():  # K steps of one choice
                pairs = list(zip(step, self._bins, strict=True))
                if all(size <= bins for size, bins in pairs):
                    to = tuple(slice(size, None) for size in step)
                    of = tuple(slice(bins + 1 - size) for size, bins in pairs)
                    here[to] += after[of]
        return completions

    def _draw(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """(n, 20) choices, uniform over what holds the bounds in rounded units."""
        left = [np.full(n, bins) for bins in self._bins]
        choices = np.empty((n, DEPTH), np.int64)
        for layer in range(DEPTH):
            after, ways = self._ways(layer, left)
            cumulative = ways.cumsum(1)
            total = cumulative[:, -1]
            target = np.minimum(rng.random(n) * total, np.nextafter(total, 0.0))
            choices[:, layer] = (cumulative <= target[:, None]).sum(1)
            left = [rest[np.arange(n), choices[:, layer]] for rest in after]
        return choices

    def _ways(
        self, layer: int, left: Sequence[NDArray[np.int64]]
    ) -> tuple[list[NDArray[np.int64]], NDArray[np.float64]]:
        """Of each choice of a layer, (n, 40): what it leaves of each bound, and its completions."""
        after = [
            rest[:, None] - step for rest, step in zip(left, self._steps[:, layer], strict=True)
        ]
        fits = np.logical_and.reduce([rest >= 0 for rest in after])
        places = tuple(np.maximum(rest, 0) for rest in after)
        return after, np.where(fits, self._completions[layer + 1][places], 0.0)

    def _list(self) -> NDArray[np.int64]:
        """(M, 20): all choices that hold the bounds."""
        rows = np.empty((min(1, int(self._rounded)), 0), np.int64)
        left = [np.full(len(rows), bins) for bins in self._bins]
        for layer in range(DEPTH):
            after, ways = self._ways(layer, left)
            parents, choices = np.nonzero(ways)
            rows = np.hstack((rows[parents], choices[:, None]))
            left = [rest[parents, choices] for rest in after]
        return rows[self._holds(*_genes(rows))]

    def _estimated_rate(self) -> float:
        """The share of what holds the rounded bounds that holds the exact ones."""
        rng = np.random.default_rng(0)
        drawn = held = 0
        for _ in range(ESTIMATE_ROUNDS):
            if held >= ESTIMATED:
                break
            rows = self._draw(rng, ROUND)
            drawn += len(rows)
            held += int(self._holds(*_genes(rows)).sum())
        return held / drawn


def _genes(choices: NDArray[np.int64]) -> tuple[Genes, Genes]:
    blocks, widths = np.divmod(choices, len(WIDTHS))
    return blocks.astype(np.uint8), widths.astype(np.uint8)
