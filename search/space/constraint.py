"""What an architecture must satisfy to be a candidate, and the FLOPs budget at 224 x 224."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, InitVar, dataclass, field
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.errors import UserError, unknown_choice
from edgecmp.networks.tiers import TIERS
from edgecmp.search.space.flops import FlopsTable, Genes
from edgecmp.search.space.quantity import GROUPED, read_quantity, shown
from edgecmp.search.space.sampling import MAX_BINS, BudgetSampler

__all__ = [
    "Constraint",
    "FlopsBudget",
    "budget_text",
    "parse_budget",
    "parse_budgets",
    "percent",
]

SCALES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
UNIT = re.compile(r"([kmg]?)\s*(?:flops?)?")
LARGEST = 10**15
"""FLOPs; more than any network has, and exact in every type that counts them."""

EXAMPLES = "a number of FLOPs such as 95M, 0.1 GFLOPs, 1e8 or 95000000"


class Constraint(Protocol):
    """A bound on blocks and widths; `Space` applies it to rows of genes."""

    @property
    def table(self) -> FlopsTable:
        """Counts the FLOPs that `budget` bounds."""

    @property
    def budget(self) -> int:
        """The most FLOPs allowed."""

    @property
    def latency(self) -> LatencyTable | None:
        """Predicts the latencies that `latency_ms` bounds; None if only FLOPs are bounded."""

    @property
    def latency_ms(self) -> float | None:
        """The longest latency allowed."""

    @property
    def count(self) -> float:
        """How many architectures of the tier satisfy it."""

    @property
    def share(self) -> float:
        """The share of the tier's space that satisfies it, 0..1."""

    @property
    def share_flops(self) -> float:
        """The share that satisfies the FLOPs budget alone, 0..1."""

    def satisfied_by(self, blocks: Genes, widths: Genes) -> NDArray[np.bool_]:
        """Which of N architectures, blocks and widths (N, 20) each, satisfy it: (N,)."""

    def sample(self, rng: np.random.Generator, n: int) -> tuple[Genes, Genes]:
        """N uniform samples that satisfy it: blocks and widths, (N, 20) each."""

    def to_dict(self) -> dict[str, Any]:
        """The part of a history's header that identifies it."""

    def describe(self) -> list[str]:
        """Sentences for the user: the bound, and the share of the space that satisfies it."""


@dataclass(frozen=True, slots=True)
class FlopsBudget:
    """At most `budget` FLOPs, as fvcore counts them at the table's input size.

    Attributes:
        table: counts the FLOPs.
        budget: the most allowed.
        max_bins: of the sampler; fewer need less memory, but `count` may then be an estimate.

    Raises:
        UserError: not even the smallest architecture of the tier satisfies the budget.
    """

    table: FlopsTable
    budget: int
    _: KW_ONLY
    max_bins: InitVar[int] = MAX_BINS
    sampler: BudgetSampler = field(init=False)

    def __post_init__(self, max_bins: int) -> None:
        smallest = self.table.count(self.table.smallest())
        if self.budget < smallest:
            least = min(TIERS.values(), key=lambda tier: tier.max_flops).name
            smaller = "" if self.table.tier == least else ", or the supernet of a smaller tier"
            raise UserError(
                f"No architecture of the {self.table.tier} tier has at most {self.budget:,} FLOPs: "
                f"the smallest has {smallest:,}.",
                f"Use --budget {smallest} or more{smaller}.",
            )
        bound = self.budget - self.table.fixed_flops
        sampler = BudgetSampler(
            [self.table.layer_flops], [bound], self.satisfied_by, max_bins=max_bins
        )
        object.__setattr__(self, "sampler", sampler)

    @property
    def latency(self) -> None:
        """Latency is not bounded."""
        return None

    @property
    def latency_ms(self) -> None:
        """Latency is not bounded."""
        return None

    @property
    def count(self) -> float:
        """How many architectures of the tier satisfy the budget."""
        return self.sampler.count

    @property
    def share(self) -> float:
        """The share of the tier's space that satisfies the budget, 0..1."""
        return self.sampler.share

    @property
    def share_flops(self) -> float:
        """Equal to `share`, since nothing else is bounded."""
        return self.share

    def satisfied_by(self, blocks: Genes, widths: Genes) -> NDArray[np.bool_]:
        """Which of N architectures, blocks and widths (N, 20) each, satisfy the budget: (N,)."""
        return self.table.counts(blocks, widths) <= self.budget

    def sample(self, rng: np.random.Generator, n: int) -> tuple[Genes, Genes]:
        """N uniform samples under the budget: blocks and widths, (N, 20) each."""
        return self.sampler.sample(rng, n)

    def to_dict(self) -> dict[str, Any]:
        """The part of a history's header that identifies it."""
        return {"flops": self.budget, "input_size": self.table.input_size}

    def describe(self) -> list[str]:
        """One sentence: the budget, and the share of the space that satisfies it."""
        side = self.table.input_size
        return [
            f"Budget {self.budget:,} FLOPs at {side} x {side}: satisfied by {percent(self.share)} "
            f"of the {self.table.tier} tier's {40.0**20:.1e} architectures."
        ]


def percent(share: float) -> str:
    """A share of a space as a percentage, in scientific notation below 0.1 %."""
    return f"{share:.1%}" if share >= 0.001 else f"{100 * share:.1e} %"


def budget_text(flops: int) -> str:
    """A budget in short form, for file names: "80M", "97.5M", "95000001"."""
    return f"{flops / 1e6:g}M" if round(flops / 1e6, 3) * 1e6 == flops else str(flops)


def parse_budgets(text: str) -> list[int]:
    """FLOPs of one budget or a list such as "330M,230M,100M", the largest first.

    A number may be grouped by commas: "100,000,000" is one budget.

    Raises:
        UserError: one of them is not a budget, or appears twice, or a comma is ambiguous.
    """
    if GROUPED.fullmatch(text.strip()):
        return [parse_budget(text)]
    parts = text.split(",")
    if len(parts) > 1:
        _refuse_decimal_comma(text, parts)
    budgets = sorted((parse_budget(part) for part in parts), reverse=True)
    if len({*budgets}) < len(budgets):
        raise UserError(
            f"The list of budgets {shown(text)} contains duplicates.", "Give each one once."
        )
    return budgets


def parse_budget(text: str) -> int:
    """FLOPs of a budget such as "100M", "0.1 GFLOPs", "1e8" or "100,000,000".

    Raises:
        UserError: it is none of these, or out of range.
    """
    plain = text.strip()
    if GROUPED.fullmatch(plain):
        _refuse_grouped_list(plain)
        plain = plain.replace(",", "")
    elif "," in plain:
        _refuse_decimal_comma(text, plain.split(","))
    quantity = read_quantity(plain)
    unit = UNIT.fullmatch(quantity.unit) if quantity else None
    if quantity is None or unit is None:
        raise unknown_choice("budget", shown(text), [*TIERS, EXAMPLES])
    flops = round(quantity.number * SCALES[unit[1]])
    if not 1 <= flops <= LARGEST:
        raise UserError(
            f"The budget {shown(text)} is out of range.",
            f"Give a number of FLOPs from 1 to {LARGEST:.0e}, such as 100M.",
        )
    return flops


def _refuse_grouped_list(text: str) -> None:
    """Refuses "330,230,100", which may be one number or three numbers of millions."""
    groups = text.split(",")
    if all(int(group) % 5 == 0 and int(group) for group in groups):
        raise UserError(
            f"The budget {shown(text)} can be one number or a list without units.",
            f"Write {shown(text.replace(',', ''))}, or {shown(','.join(f'{g}M' for g in groups))}.",
        )


def _refuse_decimal_comma(text: str, parts: Sequence[str]) -> None:
    """Refuses "0,1G", since commas separate budgets: a short number without a unit is no budget."""
    for whole, fraction in pairwise(parts):
        if re.fullmatch(r"[0-9]{1,3}", whole.strip()) and re.match(r"\s*[0-9]", fraction):
            number = f"{whole.strip()}.{fraction.strip()}"
            raise UserError(
                f"The comma in the budget {shown(text)} would separate two budgets.",
                f"Write {shown(number)} with a decimal point; in a list, give each budget its "
                "unit: 330M,230M,100M.",
            )
