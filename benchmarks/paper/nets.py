"""Tables 1 to 3: query networks with the gallery model, by three sets of metrics.

All three tables come from the same runs: one per system and seed. All networks are trained by the
same query recipe, so that they see the same number of images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from edgecmp.benchmarks.paper.context import Context
from edgecmp.benchmarks.paper.published import Row, published
from edgecmp.benchmarks.paper.run import Run, Runs, scores_of
from edgecmp.benchmarks.paper.systems import GALLERY, SYSTEMS, System, system_of
from edgecmp.benchmarks.paper.table import Cell, Group, Table, number
from edgecmp.benchmarks.paper.training import Trained
from edgecmp.networks.baselines import Baseline
from edgecmp.networks.form import Form

__all__ = ["table1", "table2", "table3"]

GROUPS = {"homogeneous": ("hom", "qq"), "heterogeneous": ("het", "qg")}
"""By group: its prefix in the published rows, and its protocol in the scores of a run."""


def cells(context: Context) -> Sequence[Cell]:
    """One cell per system and seed."""
    return [
        Cell(
            key=_key(system, seed),
            system=system.name,
            make=partial(_made, context, system, seed),
            check=partial(context.check, context.recipe.query, seed),
        )
        for system in SYSTEMS
        for seed in system.seeds
    ]


def _key(system: System, seed: int) -> str:
    return f"query/{system.key}/seed{seed}"


def _made(context: Context, system: System, seed: int) -> Run:
    form: Form
    if system.tier is not None:
        form = context.found(system.tier)
    else:
        assert system.baseline is not None
        form = Baseline(name=system.baseline, embedding_dim=context.recipe.embedding_dim)
    job = Trained(key=_key(system, seed), recipe=context.recipe.query, form=form, seed=seed)
    return context.make(job)


def groups(table: str, metrics: Mapping[str, str], runs: Runs) -> Sequence[Group]:
    """The rows of a table: all systems, including those that the paper omits from this table.

    Args:
        table: name of the table.
        metrics: by name in the published rows: name in the scores of a run.
        runs: the runs so far.
    """
    rows = {_name(str(row["query_model"])): row for row in published(table).rows}
    found = [_paragon(table, metrics, rows[GALLERY], runs)]
    for system in SYSTEMS:
        made = [run for seed in system.seeds if (run := runs.get(_key(system, seed)))]
        for group, (prefix, protocol) in GROUPS.items():
            found.append(
                Group(
                    table=table,
                    system=system.name,
                    group=group,
                    published=_published(rows.get(system.name), prefix, metrics),
                    values={
                        name: scores
                        for name, score in metrics.items()
                        if (scores := scores_of(made, protocol, score))
                    },
                    runs=len(made),
                    wanted=len(system.seeds),
                    facts=_facts(rows.get(system.name), made),
                )
            )
    return found


def _name(published_name: str) -> str:
    system = system_of(published_name)
    return system.name if system else GALLERY


def _paragon(table: str, metrics: Mapping[str, str], row: Row, runs: Runs) -> Group:
    """The gallery model on both sides, M(g,g); the evaluation of every run includes it."""
    keys = (_key(system, seed) for system in SYSTEMS for seed in system.seeds)
    run = next((run for key in keys if (run := runs.get(key))), None)
    made = [run] if run else []
    values = {
        name: found for name, score in metrics.items() if (found := scores_of(made, "gg", score))
    }
    return Group(
        table=table,
        system=GALLERY,
        group="homogeneous",
        published=_published(row, "hom", metrics),
        values=values,
        runs=int(run is not None),
        facts={"published_mflops": row["mflops"]},
    )


def _published(row: Row | None, prefix: str, metrics: Mapping[str, str]) -> dict[str, float | None]:
    return {name: number(row, f"{prefix}_{name}") if row else None for name in metrics}


def _facts(row: Row | None, made: Sequence[Run]) -> dict[str, Any]:
    first = made[0] if made else None
    return {
        "published_mflops": row["mflops"] if row else None,
        "mflops": first.mflops if first else None,
        "params_m": first.params_m if first else None,
        "images_seen": first.images_seen if first else None,
    }


def _table(name: str, metrics: dict[str, str]) -> Table:
    paper = published(name)
    return Table(
        name=name,
        title=f"{paper.title}, {paper.metric}",
        published_data=paper.dataset,
        cells=cells,
        groups=partial(groups, name, metrics),
    )


table1 = _table("table1", {"top1": "top1", "top5": "top5", "top10": "top10"})
table2 = _table(
    "table2", {"far1e-2": "tar_far1e-2", "far1e-3": "tar_far1e-3", "far1e-4": "tar_far1e-4"}
)
table3 = _table("table3", {"top1": "top1", "top10": "top10", "top20": "top20"})
