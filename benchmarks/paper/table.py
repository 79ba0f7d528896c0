"""The definition of a table: its runs, and its rows with published and measured figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from edgecmp.benchmarks.paper.context import Context
from edgecmp.benchmarks.paper.published import Row
from edgecmp.benchmarks.paper.run import Run, Runs

__all__ = ["Cell", "Group", "Table", "number"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One run of a table.

    Attributes:
        key: key of the run.
        system: the row that it belongs to.
        make: makes the run, or reads it if it exists.
        check: refuses an earlier run with this key if it was made from something else.
    """

    key: str
    system: str
    make: Callable[[], Run]
    check: Callable[[Run], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """One group of cells of a table: a system under one protocol, published and measured.

    Attributes:
        table: "table3".
        system: the row's name in the paper.
        group: "homogeneous" or "heterogeneous".
        published: by metric: percent, or None if the paper has no figure.
        values: by metric: percent in each run; empty if there is no run.
        runs: number of runs so far.
        wanted: number of runs that the group consists of.
        facts: other values of the row, such as "mflops".
    """

    table: str
    system: str
    group: str
    published: Mapping[str, float | None]
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)
    runs: int = 0
    wanted: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ours(self) -> dict[str, float]:
        """The mean over the runs."""
        return {name: round(fmean(values), 2) for name, values in self.values.items()}

    @property
    def spread(self) -> dict[str, float]:
        """Largest minus smallest value, by metric, if there are several runs."""
        return {
            name: round(max(values) - min(values), 2)
            for name, values in self.values.items()
            if len(values) > 1
        }

    @property
    def state(self) -> str:
        """ "not run", "run", or the number of runs so far, such as "1 of 2 runs"."""
        if not self.runs:
            return "not run"
        return "run" if self.runs >= self.wanted else f"{self.runs} of {self.wanted} runs"

    def to_dict(self) -> dict[str, Any]:
        """A row of `--json`."""
        known = any(value is not None for value in self.published.values())
        return {
            "table": self.table,
            "system": self.system,
            "group": self.group,
            "state": self.state,
            "runs": self.runs,
            "published": dict(self.published) if known else None,
            "ours": self.ours or None,
            "spread": self.spread or None,
            **self.facts,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table of the paper.

    Attributes:
        name: its name, such as "table3".
        title: its title.
        published_data: the data of the published figures.
        cells: returns its runs, in the order in which they are made.
        groups: returns its rows, from the runs so far.
    """

    name: str
    title: str
    published_data: str
    cells: Callable[[Context], Sequence[Cell]]
    groups: Callable[[Runs], Sequence[Group]]


def number(row: Row, column: str) -> float | None:
    """A published figure; None if the paper has none."""
    value = row[column]
    return float(value) if value is not None else None
