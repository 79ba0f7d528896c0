"""reproduce: makes or resumes the runs of a table, and writes the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecmp import kit
from edgecmp.benchmarks.paper.context import Context
from edgecmp.benchmarks.paper.figure import figure1
from edgecmp.benchmarks.paper.layout import lines, write_csv
from edgecmp.benchmarks.paper.nets import table1, table2, table3
from edgecmp.benchmarks.paper.plot import draw
from edgecmp.benchmarks.paper.pruned import table4
from edgecmp.benchmarks.paper.run import Runs
from edgecmp.benchmarks.paper.table import Cell, Group, Table
from edgecmp.benchmarks.paper.training import Inputs
from edgecmp.errors import UserError, unknown_choice
from edgecmp.files import write_json
from edgecmp.progress import duration, say
from edgecmp.report import Report
from edgecmp.storage import folder_lock
from edgecmp.training.gallery import train_gallery
from edgecmp.training.recipes import recipe

__all__ = ["TABLES", "Reproduction", "reproduce"]

TABLES = {table.name: table for table in (table1, table2, table3, table4, figure1)}


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Reproduction(Report):
    """A table with the runs so far.

    Attributes:
        table: its name.
        title: its title.
        recipe: name of the recipe of the runs.
        groups: its cell groups.
        data: the data on which the runs were tested.
        published_data: the data of the published figures.
        files: the written files: "table" (CSV) and "picture".
    """

    table: str
    title: str
    recipe: str
    groups: tuple[Group, ...]
    data: str
    published_data: str
    files: Mapping[str, Path]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row per system, each cell with published and measured figures."""
        return lines(self.groups)

    def heading(self) -> str:
        """The title of the table, and the data of both sides."""
        return (
            f"{self.table}: {self.title}\n"
            f"published: {self.published_data} | ours: {self.data} (recipe {self.recipe})"
        )

    def written(self) -> dict[str, Path]:
        """The table and its picture."""
        return {f"the {what}": where for what, where in self.files.items()}

    def to_dict(self) -> dict[str, Any]:
        """What `--json` writes: one row per cell group."""
        return {
            "table": self.table,
            "title": self.title,
            "data": self.data,
            "published_data": self.published_data,
            "rows": [group.to_dict() for group in self.groups],
        }


def table_named(name: str) -> Table:
    """A table by name.

    Raises:
        UserError: there is no such table.
    """
    if name not in TABLES:
        raise unknown_choice("table", name, TABLES)
    return TABLES[name]


def reproduce(
    table: str,
    *,
    recipe_name: str = "emoji",
    out: Path,
    data: str | None = None,
    test_data: str | None = None,
    gallery: Path | None = None,
    systems: Sequence[str] = (),
) -> Reproduction:
    """Makes the missing runs of a table, and writes the table and its picture.

    Args:
        table: "table1" to "table4" or "figure1".
        recipe_name: name of a recipe.
        out: folder of all runs; an interrupted run in it is resumed, and a finished one is kept.
        data: training data; that of the recipe if None.
        test_data: test data, for a recipe with a separate test set, such as IJB-C for faces;
            otherwise the test split of `data` is used.
        gallery: folder of the gallery model; if None, that of the recipe, which is trained first
            unless it is in the starter kit.
        systems: names of the rows to run; all if empty.

    Raises:
        UserError: the table, recipe or system is unknown, the recipe needs data that was not given,
            or `out` has runs that were made from other settings, data or another gallery model.
    """
    chosen = table_named(table)
    made = recipe(recipe_name)
    data = data or made.data
    if data is None:
        raise UserError(
            f"The recipe {recipe_name!r} needs training data.", "Name your data with --data."
        )
    if made.separate_test and test_data is None:
        raise UserError(
            f"The recipe {recipe_name!r} needs a separate test set.",
            "Name it with --test-data, such as the folder of IJB-C or its .toml description.",
        )
    inputs = Inputs.opened(data, test_data or data)  # before the trainings, which take hours
    runs = Runs(out, recipe_name, recorded=False)
    trained = gallery is None and not made.kit_gallery
    if gallery is None:
        gallery = kit.path("gallery") if made.kit_gallery else runs.place("gallery")
    context = Context(recipe=made, runs=runs, inputs=inputs, gallery=gallery)
    all_cells = chosen.cells(context)
    cells = _chosen(all_cells, systems)
    with folder_lock(runs.folder, "reproduction"):
        if trained:
            train_gallery(made.gallery, out=gallery, data=data)
        own = _checked(all_cells, runs)
        _run(chosen, cells, runs, own)
        groups = tuple(chosen.groups(runs))
        files = {
            "table": write_csv(groups, runs.folder / f"{table}.csv"),
            "picture": draw(chosen, groups, runs.folder / f"{table}.png", data=inputs.test_data),
        }
        found = Reproduction(
            table=table,
            title=chosen.title,
            recipe=recipe_name,
            groups=groups,
            data=inputs.test_data,
            published_data=chosen.published_data,
            files=files,
        )
        write_json(runs.folder / f"{table}.json", found.to_dict())
    return found


def _chosen(cells: Sequence[Cell], systems: Sequence[str]) -> Sequence[Cell]:
    """The cells of the named systems."""
    known = dict.fromkeys(cell.system for cell in cells)
    for system in systems:
        if system not in known:
            raise unknown_choice("system of this table", system, known)
    return [cell for cell in cells if not systems or cell.system in systems]


def _checked(cells: Sequence[Cell], runs: Runs) -> set[str]:
    """The keys of all runs in the folder, after comparing what each was made from."""
    own = {cell.key: run for cell in cells if (run := runs.own(cell.key))}
    for cell in cells:
        if cell.key in own:
            cell.check(own[cell.key])
    return set(own)


def _run(table: Table, cells: Sequence[Cell], runs: Runs, own: Set[str]) -> None:
    """Makes the missing runs one after the other, and estimates the remaining time."""
    missing = [cell for cell in cells if cell.key not in own]
    say(
        f"{table.name}: {len(cells)} runs, {len(cells) - len(missing)} of them already in "
        f"{runs.folder}."
    )
    seconds: list[float] = []
    for count, cell in enumerate(missing, start=1):
        run = cell.make()
        seconds.append(run.seconds)
        left = len(missing) - count
        if left:
            each = sum(seconds) / len(seconds)
            say(
                f"{cell.key}: M(q,q) {run.scores['qq']['top10']:.1f}, M(q,g) "
                f"{run.scores['qg']['top10']:.1f} at top-10; {left} run{'s' * (left != 1)} left, "
                f"about {duration(left * each)}."
            )
