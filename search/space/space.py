"""Space: rows of genes under a bound, as every strategy handles them.

A row holds 20 blocks and 20 widths. Where the input size is searched too, a 41st gene is the
position of the size among those offered.

What a size costs. A budget is held at 224 x 224, whatever size a network is deployed at, so there a
smaller input would count for nothing. With sizes as genes, a network deployed at s pixels in place
of the supernet's own S counts what fvcore counts at 224 s / S pixels (rounded): at S it is the
count of every other search, and below S it falls as the work on the device falls.
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
"""Values each gene of the layers can take, (40,)."""

PAPER_SIZE = 224

SMALLEST_SIZE = 32
"""Five halvings: below this the last stage sees less than one pixel."""

SIZED_BINS = 1 << 16
"""FLOPs at other sizes have no large common divisor; rounded, samples stay exactly uniform."""

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Space:
    """The architectures that hold a bound.

    Attributes:
        bounds: one, or one an input size.
        sizes: input sizes in pixels, ascending; empty where the size is no gene.
    """

    bounds: tuple[Constraint, ...]
    sizes: tuple[int, ...] = ()

    @classmethod
    def of(cls, bound: Constraint | Space) -> Space:
        """The space under a bound; a space as it is."""
        return bound if isinstance(bound, Space) else cls((bound,))

    @classmethod
    def sized(cls, table: FlopsTable, budget: int, sizes: Sequence[int], *, native: int) -> Self:
        """The space of one FLOPs budget over several input sizes.

        Args:
            table: of the tier at 224.
            budget: FLOPs, counted as the module says.
            sizes: in pixels.
            native: the size that the supernet was trained at.

        Raises:
            UserError: a size is offered twice or is below 32, or nothing at that size meets the
                budget.
        """
        if len(set(sizes)) < len(sizes) or not sizes or min(sizes) < SMALLEST_SIZE:
            raise UserError(
                f"Input sizes {', '.join(map(str, sizes))} cannot be searched.",
                f"Give different numbers of pixels, {SMALLEST_SIZE} or more: 48,56,64.",
            )
        bounds = []
        for size in sorted(sizes):
            side = round(PAPER_SIZE * size / native)
            scaled = FlopsTable.of(table.tier, side, table.embedding_dim)
            smallest = scaled.count(scaled.smallest())
            if smallest > budget:
                raise UserError(
                    f"At {size} pixels no architecture counts {budget:,} FLOPs or less: the "
                    f"smallest counts {smallest:,} (at {native} pixels as at 224).",
                    f"Leave out the size {size}, or use a higher --budget.",
                )
            bounds.append(FlopsBudget(scaled, budget, max_bins=SIZED_BINS))
        return cls(tuple(bounds), tuple(sorted(sizes)))

    @property
    def choices(self) -> NDArray[np.intp]:
        """Values each gene can take, (G,)."""
        more = [len(self.sizes)] if self.sizes else []
        return np.concatenate((LAYER_CHOICES, more)).astype(np.intp)

    @property
    def table(self) -> FlopsTable:
        """Of the FLOPs at 224."""
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
        """How many rows hold the bound."""
        return sum(bound.count for bound in self.bounds)

    @property
    def share(self) -> float:
        """The share of the whole space that holds the bound, 0..1."""
        return sum(bound.share for bound in self.bounds) / len(self.bounds)

    @property
    def share_flops(self) -> float:
        """The share that meets the FLOPs budget alone, 0..1."""
        return sum(bound.share_flops for bound in self.bounds) / len(self.bounds)

    def holds(self, rows: Rows) -> NDArray[np.bool_]:
        """(N, G) rows to (N,): which of them hold the bound."""
        return self._by_size(rows, lambda bound, part: bound.holds(*_layers(part)), np.bool_)

    def flops(self, rows: Rows) -> NDArray[np.int64]:
        """(N,) FLOPs that the budget bounds."""
        return self._by_size(rows, lambda bound, part: bound.table.counts(*_layers(part)), np.int64)

    def latencies(self, rows: Rows) -> NDArray[np.float64] | None:
        """(N,) latencies in ms by the table; None without one."""
        return None if self.latency is None else self.latency.predicts(*_layers(rows))

    def sample(self, rng: np.random.Generator, n: int) -> Rows:
        """N samples of what holds the bound; fewer only where there is nothing.

        They are uniform; with input sizes each size is as likely, and uniform within it: a tight
        budget leaves so much more at the smallest size that no other would be seen.
        """
        if not self.sizes:
            return np.hstack(self.bounds[0].sample(rng, n))
        places = rng.integers(len(self.sizes), size=n).astype(np.uint8)
        rows = np.empty((n, LAYER_GENES + 1), np.uint8)
        rows[:, LAYER_GENES] = places
        for place, bound in enumerate(self.bounds):
            of_it = places == place
            rows[of_it, :LAYER_GENES] = np.hstack(bound.sample(rng, int(of_it.sum())))
        return rows

    def input_size(self, genes: Sequence[int]) -> int | None:
        """Pixels that a row stands for; None where the size is no gene."""
        return self.sizes[genes[LAYER_GENES]] if self.sizes else None

    def to_dict(self) -> dict[str, Any]:
        """What a history's header keeps of it."""
        if not self.sizes:
            return self.bounds[0].to_dict()
        return {"flops": self.budget, "input_size": PAPER_SIZE, "input_sizes": list(self.sizes)}

    def describe(self) -> list[str]:
        """Sentences for the user: the bound, and what share of the space holds it."""
        if not self.sizes:
            return self.bounds[0].describe()
        shares = ", ".join(
            f"{percent(bound.share)} at {size} px (counted at {bound.table.input_size})"
            for size, bound in zip(self.sizes, self.bounds, strict=True)
        )
        return [
            f"Budget {self.budget:,} FLOPs, each input size counted in proportion: of the "
            f"{self.table.tier} tier's {40.0**20:.1e} architectures {shares} meet it."
        ]

    def _by_size(
        self, rows: Rows, ask: Callable[[Constraint, Rows], NDArray[T]], kind: type[T]
    ) -> NDArray[T]:
        """Asks each row's own bound."""
        if not self.sizes:
            return ask(self.bounds[0], rows)
        answers = np.empty(len(rows), kind)
        for place, bound in enumerate(self.bounds):
            of_it = rows[:, LAYER_GENES] == place
            answers[of_it] = ask(bound, rows[of_it])
        return answers


def parse_sizes(text: str) -> list[int]:
    """Pixels of a list such as "48,56,64".

    Raises:
        UserError: it is none.
    """
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise UserError(
            f"{text!r} are no input sizes.", "Give numbers of pixels with commas between: 48,56,64."
        )
    return [int(part) for part in parts]


def _layers(rows: Rows) -> tuple[Rows, Rows]:
    """Blocks and widths of rows, (N, 20) each."""
    return rows[:, :DEPTH], rows[:, DEPTH:LAYER_GENES]
