"""Uniform samples from the architectures under one or two bounds, and how many there are.

A cost that is a sum over layers (FLOPs, a latency table) makes the space under a bound countable:
the number of ways to complete layers i..19 within the remaining bound follows from that of layers
i+1..19. A sample then walks through the layers and picks each choice with a probability
proportional to its completions, so sampling is fast however small the feasible share is. Two costs
are counted over pairs of remaining bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, isqrt
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edgecmp.networks.tiers import DEPTH, WIDTHS
from edgecmp.search.space.flops import CHOICES, Genes

__all__ = ["MAX_BINS", "BudgetSampler"]

MAX_BINS = 1 << 20
"""Longest count table per layer for one cost; FLOPs at 224, multiples of 784, need fewer bins."""

MAX_PAIRS = 1 << 18
"""The same for two costs, 512 bins each: a quarter of a second and 44 MB."""

MAX_LISTED = 1 << 16
"""Up to this many architectures under rounded bounds are enumerated, which makes `count` exact."""

ESTIMATE_FEASIBLE = 2_000
"""Feasible samples that an estimate of `count` needs: within 5 % in 95 of 100 cases."""

SAMPLES_PER_ROUND, MAX_ROUNDS, MAX_ESTIMATE_ROUNDS = 1 << 14, 64, 16
"""Samples at once, and the most rounds for sampling and for the estimate."""


@dataclass(frozen=True, slots=True)
class _Cost:
    """A cost relative to each layer's cheapest choice, and what its bound leaves for that.

    Attributes:
        excess: (20, 40) int64, cost of each choice above the cheapest of its layer.
        slack: the largest sum of `excess` allowed, at most the largest possible; negative if even
            the cheapest choices exceed the bound.
        binding: some architecture exceeds the bound.
    """

    excess: NDArray[np.int64]
    slack: int
    binding: bool

    @classmethod
    def of(cls, cost: NDArray[np.int64], bound: int) -> Self:
        """Of (20, 40) costs and the largest sum allowed."""
        cheapest = cost.min(1, keepdims=True)
        excess = cost - cheapest
        largest = int(excess.max(1).sum())
        slack = min(bound - int(cheapest.sum()), largest)
        return cls(excess, slack, slack < largest)

    @property
    def divisor(self) -> int:
        """The greatest common divisor of `excess`: counting in this unit is exact."""
        return max(1, int(np.gcd.reduce(self.excess, axis=None)))

    def unit(self, max_bins: int) -> int:
        """The finest unit, at least the divisor, with at most `max_bins` units of slack."""
        return max(self.divisor, -(-max(self.slack, 0) // max_bins))

    @property
    def single_bin(self) -> int:
        """A unit so coarse that no choice costs one: for a bound that nothing exceeds."""
        return max(self.slack, 1) * DEPTH


class BudgetSampler:
    """Counts and samples the architectures whose summed costs are at most their bounds.

    One cost is counted in units of its greatest common divisor, which is exact. Two costs, or one
    that would need more than `max_bins` bins, are rounded down to coarser units, and samples that
    exceed a bound are rejected: samples are exactly uniform over the feasible set in either case,
    and only `count` is an estimate, unless it is small.

    Attributes:
        exact: nothing was rounded.
        estimated: `count` is an estimate, within a few percent.
        count: number of feasible architectures; otherwise exact up to a relative error of 1e-12.

    Args:
        costs: (20, 40) int64 each, the cost of each choice (block * 10 + width) of each layer; may
            be rounded down.
        bounds: the largest sum allowed of each; may be rounded up.
        feasible: which of N architectures, blocks and widths (N, 20) each, are feasible: (N,).
        max_bins: for one cost, the largest number of bins.
    """

    def __init__(
        self,
        costs: Sequence[NDArray[np.int64]],
        bounds: Sequence[int],
        feasible: Callable[[Genes, Genes], NDArray[np.bool_]],
        *,
        max_bins: int = MAX_BINS,
    ) -> None:
        self._feasible = feasible
        relative = [_Cost.of(cost, bound) for cost, bound in zip(costs, bounds, strict=True)]
        units = _units(relative, max_bins)
        self.exact = len(relative) == 1 and units[0] == relative[0].divisor
        pairs = list(zip(relative, units, strict=True))
        self._steps = np.stack([cost.excess // unit for cost, unit in pairs])  # (K, 20, 40)
        self._bins = [cost.slack // unit for cost, unit in pairs]
        self._completions = self._count_completions()
        self._listed = self._list() if not self.exact and self._rounded <= MAX_LISTED else None
        self.estimated = not self.exact and self._listed is None
        self._rate = self._feasible_rate() if self.estimated else 1.0
        count = self._rounded * self._rate if self._listed is None else len(self._listed)
        self.count = float(count)

    @property
    def share(self) -> float:
        """The share of the whole space that is feasible, 0..1."""
        return self.count / float(CHOICES) ** DEPTH

    def sample(self, rng: np.random.Generator, n: int) -> tuple[Genes, Genes]:
        """N feasible architectures, independent and uniform.

        Returns:
            Blocks and widths, (N, 20) uint8 each; fewer than `n` rows only if nothing is feasible.
        """
        if self._listed is not None:
            size = n if len(self._listed) else 0
            return _genes(self._listed[rng.integers(max(1, len(self._listed)), size=size)])
        accepted = np.empty((0, DEPTH), np.int64)
        for _ in range(MAX_ROUNDS):
            if len(accepted) >= n or not self.count:
                break
            missing = n - len(accepted)
            size = max(missing, min(SAMPLES_PER_ROUND, ceil(missing / self._rate)))
            samples = self._sample_rounded(rng, size)
            accepted = np.concatenate((accepted, samples[self._feasible(*_genes(samples))]))
        return _genes(accepted[:n])

    @property
    def _rounded(self) -> float:
        """Number of architectures that satisfy the bounds in rounded units."""
        return float(self._completions[(0, *self._bins)]) if min(self._bins) >= 0 else 0.0

    def _count_completions(self) -> NDArray[np.float64]:
        """(21, bins + 1, ...): ways to choose layers i..19 within the remaining bins of each cost.

        Exact up to 2^53.
        """
        completions = np.zeros((DEPTH + 1, *(max(bins, -1) + 1 for bins in self._bins)))
        completions[DEPTH] = 1
        for layer in reversed(range(DEPTH)):
            following, current = completions[layer + 1], completions[layer]
            for step in self._steps[:, layer].T.tolist():  # K steps of one choice
                pairs = list(zip(step, self._bins, strict=True))
                if all(size <= bins for size, bins in pairs):
                    target = tuple(slice(size, None) for size in step)
                    source = tuple(slice(bins + 1 - size) for size, bins in pairs)
                    current[target] += following[source]
        return completions

    def _sample_rounded(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """(n, 20) choices, uniform over those that satisfy the bounds in rounded units."""
        remaining = [np.full(n, bins) for bins in self._bins]
        choices = np.empty((n, DEPTH), np.int64)
        for layer in range(DEPTH):
            after, ways = self._ways(layer, remaining)
            cumulative = ways.cumsum(1)
            total = cumulative[:, -1]
            target = np.minimum(rng.random(n) * total, np.nextafter(total, 0.0))
            choices[:, layer] = (cumulative <= target[:, None]).sum(1)
            remaining = [rest[np.arange(n), choices[:, layer]] for rest in after]
        return choices

    def _ways(
        self, layer: int, remaining: Sequence[NDArray[np.int64]]
    ) -> tuple[list[NDArray[np.int64]], NDArray[np.float64]]:
        """For each choice of a layer, (n, 40): bins that it leaves, and its completions."""
        after = [
            rest[:, None] - step
            for rest, step in zip(remaining, self._steps[:, layer], strict=True)
        ]
        fits = np.logical_and.reduce([rest >= 0 for rest in after])
        indices = tuple(np.maximum(rest, 0) for rest in after)
        return after, np.where(fits, self._completions[layer + 1][indices], 0.0)

    def _list(self) -> NDArray[np.int64]:
        """(M, 20): the choices of all feasible architectures."""
        rows = np.empty((min(1, int(self._rounded)), 0), np.int64)
        remaining = [np.full(len(rows), bins) for bins in self._bins]
        for layer in range(DEPTH):
            after, ways = self._ways(layer, remaining)
            parents, choices = np.nonzero(ways)
            rows = np.hstack((rows[parents], choices[:, None]))
            remaining = [rest[parents, choices] for rest in after]
        return rows[self._feasible(*_genes(rows))]

    def _feasible_rate(self) -> float:
        """An estimate of the share of samples under the rounded bounds that is feasible."""
        rng = np.random.default_rng(0)
        sampled = feasible = 0
        for _ in range(MAX_ESTIMATE_ROUNDS):
            if feasible >= ESTIMATE_FEASIBLE:
                break
            rows = self._sample_rounded(rng, SAMPLES_PER_ROUND)
            sampled += len(rows)
            feasible += int(self._feasible(*_genes(rows)).sum())
        return feasible / sampled


def _units(costs: Sequence[_Cost], max_bins: int) -> list[int]:
    """The unit that each cost is counted in; `max_bins` is for one cost."""
    if len(costs) == 1:
        return [costs[0].unit(max_bins)]
    if all(cost.binding for cost in costs):
        max_bins = isqrt(MAX_PAIRS)
    return [cost.unit(max_bins) if cost.binding else cost.single_bin for cost in costs]


def _genes(choices: NDArray[np.int64]) -> tuple[Genes, Genes]:
    """Blocks and widths of (N, 20) choices."""
    blocks, widths = np.divmod(choices, len(WIDTHS))
    return blocks.astype(np.uint8), widths.astype(np.uint8)
