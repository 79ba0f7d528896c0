"""listing: all cell groups of all tables, published and measured so far."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecmp.benchmarks.paper.reproduce import TABLES, table_named
from edgecmp.benchmarks.paper.run import Runs
from edgecmp.benchmarks.paper.table import Group
from edgecmp.report import Report
from edgecmp.training.recipes import recipe

__all__ = ["Listing", "listing"]


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Listing(Report):
    """The cell groups of one table or of all tables, with the runs so far.

    Attributes:
        groups: the cell groups.
        recipe: name of the recipe of the runs.
        data: the data of the runs.
    """

    groups: tuple[Group, ...]
    recipe: str
    data: str | None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row per cell group, with all metrics in one cell."""
        found = []
        for group in self.groups:
            row: dict[str, Any] = {
                "table": group.table,
                "system": group.system,
                "group": group.group,
                "state": group.state,
            }
            for name, values in (("published", group.published), ("ours", group.ours)):
                shown = [
                    f"{metric} {value:.1f}" for metric, value in values.items() if value is not None
                ]
                row[name] = ", ".join(shown) or "-"
            found.append(row)
        return found

    def to_dict(self) -> dict[str, Any]:
        """What `--json` writes: one row per cell group."""
        return {
            "recipe": self.recipe,
            "rows": [{**group.to_dict(), "data": self.data} for group in self.groups],
        }


def listing(
    table: str | None = None,
    *,
    recipe_name: str = "emoji",
    out: Path | None = None,
    data: str | None = None,
) -> Listing:
    """The cell groups of a table, or of all, from the runs in `out` and those in the package.

    Raises:
        UserError: the table or the recipe is unknown, or a run is damaged.
    """
    made = recipe(recipe_name)
    runs = Runs(out or Path("runs/reproduce"), recipe_name, recorded=True)
    tables = TABLES.values() if table is None else (table_named(table),)
    groups = tuple(group for chosen in tables for group in chosen.groups(runs))
    return Listing(groups=groups, recipe=recipe_name, data=data or made.data)
