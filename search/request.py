"""SearchRequest: the arguments of a search, parsed and checked before anything large is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.errors import UserError
from edgecmp.search.settings import SearchSettings
from edgecmp.search.space.constraint import FlopsBudget, parse_budgets
from edgecmp.search.space.flops import FlopsTable
from edgecmp.search.space.latency_budget import LatencyBudget, parse_latency
from edgecmp.search.space.space import Space, parse_sizes
from edgecmp.search.strategies import STRATEGIES, StrategySettings

__all__ = ["SearchRequest"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchRequest:
    """The bounds and settings of a search, and the processes it may use.

    Attributes:
        budgets: FLOPs, the largest first.
        latency_ms: the longest latency allowed; None without a bound.
        latency_table: predicts latencies; None without a bound.
        input_sizes: in pixels; empty where the size is not a gene.
        settings: reward, metric, seed and strategy.
        jobs: processes that evaluate at once; None for the default.
    """

    budgets: tuple[int, ...]
    latency_ms: float | None
    latency_table: LatencyTable | None
    input_sizes: tuple[int, ...]
    settings: SearchSettings
    jobs: int | None

    @classmethod
    def parse(
        cls,
        budget: str,
        *,
        latency: str | None,
        table: str | Path | None,
        lowering: str | None,
        input_sizes: str | None,
        settings: SearchSettings,
        jobs: int | None,
    ) -> Self:
        """Parses and checks the arguments of `edgecmp.search.run` that have these names.

        Raises:
            UserError: an argument cannot be parsed, is out of range, or contradicts another, or the
                latency table is of another lowering.
        """
        if jobs is not None and jobs < 1:
            raise UserError(
                f"--jobs must be at least 1 (got {jobs}).",
                "Give --jobs 1 or more, or leave it out for one process per core.",
            )
        budgets = parse_budgets(budget)
        if len(budgets) > 1:
            _require_several_budgets(settings.strategy, len(budgets))
        if input_sizes and table:
            raise UserError(
                "A latency table covers one input size and cannot bound several.",
                "Leave out --input-sizes, or --latency and --table.",
            )
        latency_ms, latency_table = _latency_bound(latency, table, lowering)
        return cls(
            budgets=tuple(budgets),
            latency_ms=latency_ms,
            latency_table=latency_table,
            input_sizes=tuple(parse_sizes(input_sizes)) if input_sizes else (),
            settings=settings,
            jobs=jobs,
        )

    def spaces(self, tier: str, *, input_size: int, embedding_dim: int) -> list[Space]:
        """The space of a tier under each budget, the largest budget first.

        Args:
            tier: of the supernet.
            input_size: of the supernet, in pixels.
            embedding_dim: of the supernet.

        Raises:
            UserError: no architecture satisfies the bounds, or the latency table is of another
                tier, input size or embedding size.
        """
        flops_table = FlopsTable.of(tier, embedding_dim=embedding_dim)
        if self.input_sizes:
            return [
                Space.with_sizes(flops_table, flops, self.input_sizes, native=input_size)
                for flops in self.budgets
            ]
        if self.latency_table is None or self.latency_ms is None:
            return [Space.of(FlopsBudget(flops_table, flops)) for flops in self.budgets]
        deployed = FlopsTable.of(tier, input_size, embedding_dim)
        self.latency_table.predict(deployed.smallest())  # refuses a table of other networks
        return [
            Space.of(
                LatencyBudget(FlopsBudget(flops_table, flops), self.latency_table, self.latency_ms)
            )
            for flops in self.budgets
        ]


def _require_several_budgets(strategy: StrategySettings, count: int) -> None:
    """Refuses several budgets for a strategy that searches under one."""
    if not strategy.several_budgets:
        others = [name for name, kind in STRATEGIES.items() if kind.several_budgets]
        raise UserError(
            f"The strategy {strategy.name} searches under one budget, but {count} were given.",
            f"Use --strategy {' or '.join(others)}, or run one search per budget.",
        )


def _latency_bound(
    latency: str | None, table: str | Path | None, lowering: str | None
) -> tuple[float, LatencyTable] | tuple[None, None]:
    """The longest latency in ms and the table that predicts latencies; None without a bound."""
    if latency is None and table is None:
        return None, None
    if latency is None or table is None:
        raise UserError(
            "A latency bound needs both --latency and --table.",
            "Give both: --latency 4ms --table table.json (edgecmp latency build writes the table).",
        )
    latency_ms = parse_latency(latency)
    latency_table = LatencyTable.load(table)
    if lowering:
        latency_table.require_lowering(lowering)
    return latency_ms, latency_table
