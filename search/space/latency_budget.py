"""LatencyBudget: FLOPs and latency together, and reading a latency as people write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
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
from edgecmp.search.space.sampling import BudgetSampler

__all__ = ["LatencyBudget", "parse_latency"]

PICOSECONDS = 1e9
"""In a millisecond: latencies are counted in these, rounded down."""


@dataclass(frozen=True, slots=True, init=False)
class LatencyBudget:
    """A FLOPs budget, and at most `latency_ms` by a table: a candidate holds both.

    Raises:
        UserError: no architecture holds both, or next to none where the bounds exclude each other.
    """

    flops: FlopsBudget
    latency: LatencyTable
    latency_ms: float
    fastest_ms: float
    sampler: BudgetSampler

    def __init__(self, flops: FlopsBudget, latency: LatencyTable, latency_ms: float) -> None:
        object.__setattr__(self, "flops", flops)
        object.__setattr__(self, "latency", latency)
        object.__setattr__(self, "latency_ms", latency_ms)
        layers = latency.layer_ms
        fastest = _predicted(latency, fastest_choices(flops.table, flops.budget, layers))
        object.__setattr__(self, "fastest_ms", fastest)
        if fastest > latency_ms:
            raise self._nothing()
        sampler = BudgetSampler(
            [flops.table.layer_flops, np.floor(layers * PICOSECONDS).astype(np.int64)],
            [
                flops.budget - flops.table.fixed_flops,
                ceil((latency_ms - latency.fixed_ms) * PICOSECONDS) + 1,
            ],
            self.holds,
        )
        object.__setattr__(self, "sampler", sampler)
        if not sampler.count:
            raise UserError(
                f"Too few architectures with at most {flops.budget:,} FLOPs take {latency_ms:g} ms "
                f"or less on {latency.device} to be found by drawing.",
                f"Use --latency {_rounded_up(1.002 * latency_ms)}ms, or a higher --budget.",
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
        """How many architectures hold both; within a few percent unless there are few."""
        return min(self.sampler.count, self.flops.count)

    @property
    def share(self) -> float:
        """The share of the tier's space that holds both, 0..1."""
        return min(self.sampler.share, self.flops.share)

    @property
    def share_flops(self) -> float:
        """The share that meets the FLOPs budget, 0..1."""
        return self.flops.share

    def holds(self, blocks: Genes, widths: Genes) -> NDArray[np.bool_]:
        """(N, 20) blocks and widths to (N,): which of them hold both."""
        return self.flops.holds(blocks, widths) & (
            self.latency.predicts(blocks, widths) <= self.latency_ms
        )

    def sample(self, rng: np.random.Generator, n: int) -> tuple[Genes, Genes]:
        """N uniform samples of what holds both: blocks and widths, (N, 20) each."""
        return self.sampler.sample(rng, n)

    def to_dict(self) -> dict[str, Any]:
        """What a history's header keeps of it."""
        return {
            **self.flops.to_dict(),
            "latency_ms": self.latency_ms,
            "table": self.latency.fingerprint,
        }

    def describe(self) -> list[str]:
        """Three sentences: what meets the budget, what holds both, and where latencies begin."""
        table = self.latency
        threads = f"{table.threads} thread{'s' if table.threads > 1 else ''}"
        about = "about " if self.sampler.estimated else ""
        return [
            *self.flops.describe(),
            f"Latency {self.latency_ms:g} ms on {table.device} ({table.runtime} {table.version}, "
            f"{threads}, {table.precision}), by the table: {about}{percent(self.share)} hold both, "
            f"{percent(self.share / self.flops.share)} of what meets the budget; the fastest under "
            f"this budget takes {self.fastest_ms:.4g} ms.",
        ]

    def _nothing(self) -> UserError:
        """The error for bounds that nothing holds: says where the space begins."""
        table, flops = self.latency, self.flops
        fewest = flops.table.count(flops.table.smallest())
        fastest_of_all = _predicted(table, table.layer_ms.argmin(1))
        return UserError(
            f"No architecture of the {table.tier} tier with at most {flops.budget:,} FLOPs takes "
            f"{self.latency_ms:g} ms or less on {table.device}: the fastest under this budget "
            f"takes {self.fastest_ms:.4g} ms by the table. Without a budget the fastest takes "
            f"{fastest_of_all:.4g} ms, and the fewest FLOPs are {fewest:,}.",
            f"Use --latency {_rounded_up(self.fastest_ms)}ms or more"
            + (", or a higher --budget." if fastest_of_all <= self.latency_ms else "."),
        )


def parse_latency(text: str) -> float:
    """Milliseconds of a latency such as "4ms", "0.004s" or "850us".

    Raises:
        UserError: it is none of these.
    """
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|us|µs)", text.strip(), re.IGNORECASE)
    value = float(match[1]) if match else 0.0
    if match is None or not value:
        raise UserError(
            f"{text!r} is no latency.", "Write a number above zero with its unit: 4ms or 850us."
        )
    divisor, factor = {"ms": (1, 1), "s": (1, 1000), "us": (1000, 1), "µs": (1000, 1)}[
        match[2].lower()
    ]
    return value * factor / divisor


def _predicted(table: LatencyTable, choices: NDArray[np.intp]) -> float:
    blocks, widths = np.divmod(choices[None], len(WIDTHS))
    return float(table.predicts(blocks.astype(np.uint8), widths.astype(np.uint8))[0])


def _rounded_up(value: float) -> str:
    """At least the value, with four digits."""
    scale = 10.0 ** (3 - int(np.floor(log10(value))))
    return f"{ceil(value * scale) / scale:g}"
