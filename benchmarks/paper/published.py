"""The published figures: tables 1-4 of the supplement, and the sources of its MFLOPs column.

They are percentages, as printed. In tables 1-3 `hom_*` is M(q,q) and `het_*` is M(q,g); null means
that the paper has no figure.

Example: `published("table3").row("MobileNetV3")["het_top10"]` is 63.0.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecmp.errors import unknown_choice
from edgecmp.files import read_json

__all__ = ["PUBLISHED", "Doubt", "PublishedTable", "Row", "published"]

PUBLISHED = ("table1", "table2", "table3", "table4", "mflops")
"""Names of the tables."""

FILE = Path(__file__).with_name("published.json")

Row = dict[str, str | float | None]
"""The values of a row by column."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """A figure that is probably a misprint; the table keeps it as printed."""

    query_model: str
    column: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedTable:
    """One table.

    Attributes:
        name: one of `PUBLISHED`.
        title: its title.
        dataset: the data that it was measured on.
        metric: the metric of its figures, with the unit.
        rows: its rows, in the order of the paper.
        doubts: figures that are probably misprints.
    """

    name: str
    title: str
    dataset: str
    metric: str
    rows: tuple[Row, ...]
    doubts: tuple[Doubt, ...]

    def row(self, query_model: str) -> Row:
        """The row of a query model.

        Raises:
            UserError: the table has no such row.
        """
        for row in self.rows:
            if row.get("query_model") == query_model:
                return row
        models = [str(row["query_model"]) for row in self.rows if "query_model" in row]
        raise unknown_choice(f"row of {self.name}", query_model, models)


def published(table: str) -> PublishedTable:
    """A published table by name.

    Raises:
        UserError: there is no such table.
    """
    if table not in PUBLISHED:
        raise unknown_choice("table", table, PUBLISHED)
    document = _document()[table]
    return PublishedTable(
        name=table,
        title=document["title"],
        dataset=document["dataset"],
        metric=document["metric"],
        rows=tuple(dict(row) for row in document["rows"]),
        doubts=tuple(Doubt(**doubt) for doubt in document["doubts"]),
    )


@functools.cache
def _document() -> dict[str, Any]:
    return read_json(FILE, what="the published tables")
