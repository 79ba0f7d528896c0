"""The paper's tables and figure 1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecmp.api.paths import PathLike
    from edgecmp.benchmarks.paper import Listing, Reproduction
    from edgecmp.benchmarks.paper.ranking import RankingStudy

__all__ = ["list_reproductions", "reproduce", "study_ranking"]


def reproduce(
    table: str,
    *,
    recipe: str = "emoji",
    out: PathLike = "runs/reproduce",
    data: str | None = None,
    test_data: str | None = None,
    gallery: PathLike | None = None,
    systems: Sequence[str] = (),
) -> Reproduction:
    """Runs a table of the paper on a recipe's data, and puts our figures beside the published ones.

    Runs that are finished are kept in `out` and not made again.

    Args:
        table: "table1" to "table4" or "figure1".
        recipe: a name of `list_recipes` for `reproduce`.
        out: folder of all runs.
        data: what is trained on; the recipe's own by default.
        test_data: what is tested on, if not the test split of `data`; IJB-C for "face".
        gallery: folder of the gallery model; the recipe's own by default.
        systems: rows to run, by their names; all if empty.

    Raises:
        UserError: an argument is unknown, or the recipe has no data of its own.
    """
    from edgecmp.benchmarks.paper import reproduce as run

    return run(
        table,
        recipe_name=recipe,
        out=Path(out),
        data=data,
        test_data=test_data,
        gallery=None if gallery is None else Path(gallery),
        systems=systems,
    )


def list_reproductions(
    table: str | None = None,
    *,
    recipe: str = "emoji",
    out: PathLike = "runs/reproduce",
    data: str | None = None,
) -> Listing:
    """What has been run of the paper's tables: in `out`, and what ships with edgecmp.

    Args:
        table: one table; all if None.
        recipe: a name of `list_recipes` for `reproduce`.
        out: folder of runs.
        data: what they were run on, for the report.

    Raises:
        UserError: an argument is unknown, or a run's file is damaged.
    """
    from edgecmp.benchmarks.paper import listing

    return listing(table, recipe_name=recipe, out=Path(out), data=data)


def study_ranking(
    *,
    out: PathLike,
    nets: int = 8,
    recipe: str = "emoji",
    supernet: PathLike | None = None,
    gallery: PathLike | None = None,
    data: str | None = None,
    seed: int = 0,
) -> RankingStudy:
    """Compares the supernet's ranking of networks with that of training each alone.

    Args:
        out: folder of the trainings; finished ones are not repeated.
        nets: how many random networks.
        recipe: a name of `list_recipes` for `reproduce`, whose query recipe trains them.
        supernet: folder of a supernet; the starter kit's by default.
        gallery: folder of its gallery model; the starter kit's by default.
        data: the recipe's own by default.
        seed: of the sample and of the trainings.

    Raises:
        UserError: fewer than four networks, or a supernet of another gallery model.
    """
    from edgecmp.benchmarks.paper.ranking import study_ranking as run

    return run(
        nets=nets,
        recipe_name=recipe,
        out=Path(out),
        supernet=None if supernet is None else Path(supernet),
        gallery=None if gallery is None else Path(gallery),
        data=data,
        seed=seed,
    )
