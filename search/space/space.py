"""Space: the rows of genes under a bound, as every strategy handles them.

A row consists of 20 blocks and 20 widths. Where the input size is searched too, the 41st gene is
the index of the size among those offered.

FLOPs with input sizes as genes: a budget is stated at 224 x 224 whatever size a network is deployed
at, so a smaller input size alone would save nothing. A network deployed at s pixels, from a
supernet trained at S pixels, is therefore counted at 224 s / S pixels (rounded): at S the count is
that of every other search, and below S it falls in proportion to the work on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.errors import UserError
from edgecmp.networks.tiers import BLOCKS, DEPTH, WIDTHS
from edgecmp.search.space.constraint import Constraint, FlopsBudget, percent
from edgecmp.search.space.flops import FlopsTable

__all__ = ["LAYER_CHOICES", "LAYER_GENES", "Rows", "Space", "parse_sizes"]

Rows = NDArray[np.uint8]
"""(N, G) genes; G is 40, or 41 with an input size."""

LAYER_GENES = 2 * DEPTH

LAYER_CHOICES = np.array([len(BLOCKS)] * DEPTH + [len(WIDTHS)] * DEPTH)
"""Number of values that each gene of the layers can take, (40,)."""

PAPER_SIZE = 224

SMALLEST_SIZE = 32
"""Pixels; five strides of 2 halve the size, so that 32 leave one pixel for the last stage."""

MULTI_SIZE_BINS = 1 << 16
"""FLOPs at other sizes have no large common divisor; rounding them keeps samples uniform."""

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Space:
    """The architectures that satisfy a bound.

    Attributes:
        bounds: one, or one per input size.
        sizes: input sizes in pixels, ascending; empty where the size is not a gene.
    """

    bounds: tuple[Constraint, ...]
    sizes: tuple[int, ...] = ()

    @classmethod
    def of(cls, bound: Constraint | Space) -> Space:
        """The space under a bound; a space is returned unchanged."""
        return bound if isinstance(bound, Space) else cls((bound,))

    @classmethod
    def with_sizes(
        cls, table: FlopsTable, budget: int, sizes: Sequence[int], *, native: int
    ) -> Self:
        """The space of one FLOPs budget over several input sizes.

        Args:
            table: of the tier at 224.
            budget: FLOPs, counted as the module describes.
            sizes: in pixels.
            native: the size that the supernet was trained at.

        Raises:
            UserError: a size is given twice or is below 32, or no architecture satisfies the budget
                at one of the sizes.
        """
        if len(set(sizes)) < len(sizes) or not sizes or min(sizes) < SMALLEST_SIZE:
            raise UserError(
                f"The input sizes {', '.join(map(str, sizes))} cannot be searched.",
                f"Give different sizes of at least {SMALLEST_SIZE} pixels, such as 48,56,64.",
            )
        bounds = []
        for size in sorted(sizes):
            side = round(PAPER_SIZE * size / native)
            scaled = FlopsTable.of(table.tier, side, table.embedding_dim)
            smallest = scaled.count(scaled.smallest())
            if smallest > budget:
                raise UserError(
                    f"At input size {size} no architecture has at most {budget:,} FLOPs: the "
                    f"smallest has {smallest:,}, counted at {side} pixels.",
                    f"Leave out the size {size}, or use a higher --budget.",
                )
            bounds.append(FlopsBudget(scaled, budget, max_bins=MULTI_SIZE_BINS))
        return cls(tuple(bounds), tuple(sorted(sizes)))

    @property
    def choices(self) -> NDArray[np.intp]:
        """Number of values that each gene can take, (G,)."""
        size_choices = [len(self.sizes)] if self.sizes else []
        return np.concatenate((LAYER_CHOICES, size_choices)).astype(np.intp)

    @property
    def table(self) -> FlopsTable:
        """Counts FLOPs at 224."""
        table = self.bounds[0].table
        return FlopsTable.of(table.tier, PAPER_SIZE, table.embedding_dim) if self.sizes else table

    @property
    def budget(self) -> int:
        """The most FLOPs allowed."""
        return self.bounds[0].budget

    @property
    def latency(self) -> LatencyTable | None:
        """Predicts the latencies that `latency_ms` bounds; None if only FLOPs are bounded."""
        return self.bounds[0].latency

    @property
    def latency_ms(self) -> float | None:
        """The longest latency allowed."""
        return self.bounds[0].latency_ms

    @property
    def count(self) -> float:
        """Number of rows in the space."""
        return sum(bound.count for bound in self.bounds)

    @property
    def share(self) -> float:
        """The share of all rows that satisfies the bound, 0..1."""
        return sum(bound.share for bound in self.bounds) / len(self.bounds)

    @property
    def share_flops(self) -> float:
        """The share that satisfies the FLOPs budget alone, 0..1."""
        return sum(bound.share_flops for bound in self.bounds) / len(self.bounds)

    def contains(self, rows: Rows) -> NDArray[np.bool_]:
        """Which of (N, G) rows satisfy the bound: (N,)."""
        return self._by_size(rows, lambda bound, part: bound.satisfied_by(*_layers(part)), np.bool_)

    def flops(self, rows: Rows) -> NDArray[np.int64]:
        """(N,) FLOPs that the budget bounds."""
        return self._by_size(rows, lambda bound, part: bound.table.counts(*_layers(part)), np.int64)

    def latencies(self, rows: Rows) -> NDArray[np.float64] | None:
        """(N,) latencies in ms by the latency table; None without one."""
        return None if self.latency is None else self.latency.predicts(*_layers(rows))

    def sample(self, rng: np.random.Generator, n: int) -> Rows:
        """N samples of the space; fewer only where it is empty.

        They are uniform. With input sizes, each size is equally likely and samples are uniform
        within it: under a tight budget most architectures have the smallest size, and the others
        would hardly be sampled.
        """
        if not self.sizes:
            return np.hstack(self.bounds[0].sample(rng, n))
        size_indices = rng.integers(len(self.sizes), size=n).astype(np.uint8)
        rows = np.empty((n, LAYER_GENES + 1), np.uint8)
        rows[:, LAYER_GENES] = size_indices
        for index, bound in enumerate(self.bounds):
            selected = size_indices == index
            rows[selected, :LAYER_GENES] = np.hstack(bound.sample(rng, int(selected.sum())))
        return rows

    def input_size(self, genes: Sequence[int]) -> int | None:
        """Input size of a row in pixels; None where the size is not a gene."""
        return self.sizes[genes[LAYER_GENES]] if self.sizes else None

    def to_dict(self) -> dict[str, Any]:
        """The part of a history's header that identifies it."""
        if not self.sizes:
            return self.bounds[0].to_dict()
        return {"flops": self.budget, "input_size": PAPER_SIZE, "input_sizes": list(self.sizes)}

    def describe(self) -> list[str]:
        """Sentences for the user: the bound, and the share of the space that satisfies it."""
        if not self.sizes:
            return self.bounds[0].describe()
        shares = ", ".join(
            f"{percent(bound.share)} at {size} px (counted at {bound.table.input_size})"
            for size, bound in zip(self.sizes, self.bounds, strict=True)
        )
        return [
            f"Budget {self.budget:,} FLOPs, scaled to the input size: satisfied by {shares} of the "
            f"{self.table.tier} tier's {40.0**20:.1e} architectures."
        ]

    def _by_size(
        self, rows: Rows, evaluate: Callable[[Constraint, Rows], NDArray[T]], kind: type[T]
    ) -> NDArray[T]:
        """(N,) values, each from the bound of its row's input size."""
        if not self.sizes:
            return evaluate(self.bounds[0], rows)
        values = np.empty(len(rows), kind)
        for index, bound in enumerate(self.bounds):
            selected = rows[:, LAYER_GENES] == index
            values[selected] = evaluate(bound, rows[selected])
        return values


def parse_sizes(text: str) -> list[int]:
    """Pixels of a list such as "48,56,64".

    Raises:
        UserError: it is not such a list.
    """
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise UserError(
            f"{text!r} is not a list of input sizes.",
            "Give sizes in pixels, separated by commas, such as 48,56,64.",
        )
    return [int(part) for part in parts]


def _layers(rows: Rows) -> tuple[Rows, Rows]:
    """Blocks and widths of rows, (N, 20) each."""
    return rows[:, :DEPTH], rows[:, DEPTH:LAYER_GENES]
