"""Uniform samples from the architectures under a bound, and how many there are, by counting.

A cost that is a sum over layers (FLOPs, a latency table) makes the space under a bound countable:
the completions of layers i..19 within what is left of the bound follow from those of layers
i+1..19. A sample then walks the layers and picks each choice in proportion to its completions, so
nothing is rejected however small the feasible share is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecmp.architecture import DEPTH, WIDTHS
from edgecmp.search.flops import CHOICES, Genes

__all__ = ["BudgetSampler"]

MAX_BINS = 1 << 20
"""Longest count table a layer. FLOPs at 224 stay below: their common divisor is 784 or more."""

MAX_ROUNDS = 64
"""Rounds of drawing when costs had to be rounded; each keeps about 95 % of its draws or more."""


class BudgetSampler:
    """Counts and samples the architectures whose summed cost is at most a bound.

    Costs are counted in units of their greatest common divisor, which is exact. Only where that
    would need more than `MAX_BINS` bins they are rounded down to a coarser unit; then the samples
    are still exactly uniform over the feasible set (the few over the bound are drawn again) and
    `count` is an upper bound (`exact` is false).

    Args:
        costs: (20, 40) int64, the cost of each choice (block * 10 + width) of each layer.
        bound: the largest sum allowed.
    """

    def __init__(self, costs: NDArray[np.int64], bound: int) -> None:
        excess = costs - costs.min(1, keepdims=True)
        slack = int(min(bound - costs.min(1).sum(), excess.max(1).sum()))
        divisor = max(1, int(np.gcd.reduce(excess, axis=None)))
        unit = max(divisor, -(-max(slack, 0) // MAX_BINS))
        self.exact = unit == divisor
        self._excess = excess
        self._slack = slack
        self._steps = excess // unit  # (20, 40)
        self._bins = slack // unit if slack >= 0 else -1
        self._completions = self._count()

    def _count(self) -> NDArray[np.float64]:
        """(21, bins + 1): the ways to choose layers i..19 within r units; exact up to 2^53."""
        completions = np.zeros((DEPTH + 1, self._bins + 1))
        completions[DEPTH] = 1
        for layer in reversed(range(DEPTH)):
            after, here = completions[layer + 1], completions[layer]
            for step in self._steps[layer]:
                if step <= self._bins:
                    here[step:] += after[: self._bins + 1 - step]
        return completions

    @property
    def count(self) -> float:
        """How many architectures meet the bound (a whole number; relative error below 1e-12)."""
        return float(self._completions[0, -1]) if self._bins >= 0 else 0.0

    @property
    def share(self) -> float:
        """The share of the whole space that meets the bound, 0..1."""
        return self.count / float(CHOICES) ** DEPTH

    def sample(self, rng: np.random.Generator, n: int) -> tuple[Genes, Genes]:
        """N architectures that meet the bound, independent and uniform.

        Returns:
            blocks and widths, (N, 20) uint8 each; fewer than `n` rows only if nothing is feasible.
        """
        kept = np.empty((0, DEPTH), np.int64)
        for _ in range(MAX_ROUNDS):
            if len(kept) >= n or self._bins < 0:
                break
            drawn = self._draw(rng, n - len(kept))
            sums = self._excess[np.arange(DEPTH), drawn].sum(1)
            kept = np.concatenate((kept, drawn[sums <= self._slack]))
        blocks, widths = np.divmod(kept, len(WIDTHS))
        return blocks.astype(np.uint8), widths.astype(np.uint8)

    def _draw(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """(n, 20) choices, uniform over what meets the bound in (rounded) units."""
        left = np.full(n, self._bins)
        choices = np.empty((n, DEPTH), np.int64)
        for layer in range(DEPTH):
            after = left[:, None] - self._steps[layer]  # (n, 40)
            ways = np.where(after >= 0, self._completions[layer + 1][np.maximum(after, 0)], 0.0)
            cumulative = ways.cumsum(1)
            total = cumulative[:, -1]
            target = np.minimum(rng.random(n) * total, np.nextafter(total, 0.0))
            choices[:, layer] = (cumulative <= target[:, None]).sum(1)
            left = after[np.arange(n), choices[:, layer]]
        return choices
