"""LatencyBudget: a FLOPs budget and a latency bound together, and the parsing of latencies."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from math import ceil, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.errors import UserError
from edgecmp.networks.tiers import WIDTHS
from edgecmp.search.space.constraint import FlopsBudget, percent
from edgecmp.search.space.flops import FlopsTable, Genes
from edgecmp.search.space.min_latency import fastest_choices
from edgecmp.search.space.quantity import read_quantity, shown
from edgecmp.search.space.sampling import BudgetSampler

__all__ = ["LatencyBudget", "parse_latency"]

PICOSECONDS = 1e9
"""Per millisecond; latencies are counted in whole picoseconds, rounded down."""

MILLISECONDS = {
    name: Decimal(factor)
    for factor, names in (
        ("1000", ("s", "sec", "second", "seconds")),
        ("1", ("ms", "msec", "millisecond", "milliseconds")),
        ("0.001", ("us", "μs", "usec", "microsecond", "microseconds")),
        ("0.000001", ("ns", "nsec", "nanosecond", "nanoseconds")),
    )
    for name in names
}
"""Per unit."""

SHORTEST_MS, LONGEST_MS = Decimal("1e-6"), Decimal(3_600_000)
"""The range of a latency bound: 1 ns to 1 hour."""


@dataclass(frozen=True, slots=True)
class LatencyBudget:
    """A FLOPs budget, and at most `latency_ms` by a latency table.

    Attributes:
        flops: the FLOPs budget.
        latency: predicts the latencies.
        latency_ms: the longest latency allowed.
        fastest_ms: the lowest latency within the FLOPs budget.

    Raises:
        UserError: no architecture satisfies both, or too few to be sampled.
    """

    flops: FlopsBudget
    latency: LatencyTable
    latency_ms: float
    fastest_ms: float = field(init=False)
    sampler: BudgetSampler = field(init=False)

    def __post_init__(self) -> None:
        flops, layer_ms = self.flops, self.latency.layer_ms
        fastest = fastest_choices(flops.table, flops.budget, layer_ms)
        object.__setattr__(self, "fastest_ms", _predicted(self.latency, fastest))
        if self.fastest_ms > self.latency_ms:
            raise self._infeasible()
        sampler = BudgetSampler(
            [flops.table.layer_flops, np.floor(layer_ms * PICOSECONDS).astype(np.int64)],
            [
                flops.budget - flops.table.fixed_flops,
                ceil((self.latency_ms - self.latency.fixed_ms) * PICOSECONDS) + 1,
            ],
            self.satisfied_by,
        )
        object.__setattr__(self, "sampler", sampler)
        if not sampler.count:
            raise UserError(
                f"Too few architectures with at most {flops.budget:,} FLOPs run within "
                f"{self.latency_ms:g} ms on {self.latency.device} to be sampled.",
                f"Use --latency {_rounded_up(1.002 * self.latency_ms)}ms, or a higher --budget.",
            )

    @property
    def table(self) -> FlopsTable:
        """Counts the FLOPs."""
        return self.flops.table

    @property
    def budget(self) -> int:
        """The most FLOPs allowed."""
        return self.flops.budget

    @property
    def count(self) -> float:
        """How many architectures satisfy both; large counts are within a few percent."""
        return min(self.sampler.count, self.flops.count)

    @property
    def share(self) -> float:
        """The share of the tier's space that satisfies both, 0..1."""
        return min(self.sampler.share, self.flops.share)

    @property
    def share_flops(self) -> float:
        """The share that satisfies the FLOPs budget, 0..1."""
        return self.flops.share

    def satisfied_by(self, blocks: Genes, widths: Genes) -> NDArray[np.bool_]:
        """Which of N architectures, blocks and widths (N, 20) each, satisfy both: (N,)."""
        return self.flops.satisfied_by(blocks, widths) & (
            self.latency.predicts(blocks, widths) <= self.latency_ms
        )

    def sample(self, rng: np.random.Generator, n: int) -> tuple[Genes, Genes]:
        """N uniform samples that satisfy both: blocks and widths, (N, 20) each."""
        return self.sampler.sample(rng, n)

    def to_dict(self) -> dict[str, Any]:
        """The part of a history's header that identifies it."""
        return {
            **self.flops.to_dict(),
            "latency_ms": self.latency_ms,
            "table": self.latency.fingerprint,
        }

    def describe(self) -> list[str]:
        """Two sentences: the FLOPs budget; both bounds together and the lowest latency."""
        table = self.latency
        threads = f"{table.threads} thread{'s' if table.threads > 1 else ''}"
        about = "about " if self.sampler.estimated else ""
        return [
            *self.flops.describe(),
            f"Latency {self.latency_ms:g} ms on {table.device} ({table.runtime} {table.version}, "
            f"{threads}, {table.precision}), by the latency table: {about}{percent(self.share)} "
            f"satisfy both bounds, {percent(self.share / self.flops.share)} of those within the "
            f"budget; the fastest within the budget takes {self.fastest_ms:.4g} ms.",
        ]

    def _infeasible(self) -> UserError:
        """The error for bounds that no architecture satisfies; it states the lowest feasible."""
        table, flops = self.latency, self.flops
        fewest = flops.table.count(flops.table.smallest())
        fastest_of_all = _predicted(table, table.layer_ms.argmin(1))
        return UserError(
            f"No architecture of the {table.tier} tier with at most {flops.budget:,} FLOPs takes "
            f"{self.latency_ms:g} ms or less on {table.device}: the fastest under this budget "
            f"takes {self.fastest_ms:.4g} ms by the latency table, without a budget the fastest "
            f"takes {fastest_of_all:.4g} ms, and the smallest architecture has {fewest:,} FLOPs.",
            f"Use --latency {_rounded_up(self.fastest_ms)}ms or more"
            + (", or a higher --budget." if fastest_of_all <= self.latency_ms else "."),
        )


def parse_latency(text: str) -> float:
    """Milliseconds of a latency such as "4ms", "0.004 s", "850us" or "850 μs".

    Raises:
        UserError: it is none of these, or out of range.
    """
    if match := re.fullmatch(r"\s*([0-9]+),([0-9]+)\s*(\D*)", text):
        thousands = f"{match[1]}{match[2]}{match[3]} or " if len(match[2]) == 3 else ""
        raise UserError(
            f"The latency {shown(text)} has a comma.",
            f"Write {shown(f'{thousands}{match[1]}.{match[2]}{match[3]}')}, without one.",
        )
    quantity = read_quantity(text)
    if quantity is None or quantity.unit not in MILLISECONDS:
        raise UserError(
            f"{shown(text)!r} is not a latency.",
            "Give a number above zero with its unit, such as 4ms or 850us.",
        )
    milliseconds = quantity.number * MILLISECONDS[quantity.unit]
    if not SHORTEST_MS <= milliseconds <= LONGEST_MS:
        raise UserError(
            f"The latency {shown(text)} is out of range.",
            "Give one from 1 ns to 1 hour with its unit, such as 4ms or 850us.",
        )
    return float(milliseconds)


def _predicted(table: LatencyTable, choices: NDArray[np.intp]) -> float:
    """Latency in ms of one architecture, given its (20,) choices."""
    blocks, widths = np.divmod(choices[None], len(WIDTHS))
    return float(table.predicts(blocks.astype(np.uint8), widths.astype(np.uint8))[0])


def _rounded_up(value: float) -> str:
    """The value rounded up to four significant digits."""
    scale = 10.0 ** (3 - int(np.floor(log10(value))))
    return f"{ceil(value * scale) / scale:g}"
