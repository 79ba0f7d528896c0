"""Table 4: the gallery model pruned by two methods to four sizes, trained in four ways.

Fine-tuning and BCT start from the weights of the pruned copy. Training from scratch and KD start
from random weights, as the published zeros in both columns imply: a pruned copy is still similar to
the gallery model, so a training that starts from it would not end at zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.benchmarks.paper.context import Context
from edgecmp.benchmarks.paper.published import published
from edgecmp.benchmarks.paper.run import Run, Runs, scores_of
from edgecmp.benchmarks.paper.table import Cell, Group, Table, number
from edgecmp.benchmarks.paper.training import Trained
from edgecmp.training.methods import method_named
from edgecmp.training.query import QueryRecipe

__all__ = ["table4"]

METHODS = ("magnitude", "channel")
AMOUNTS = (0.3, 0.5, 0.7, 0.9)
TRAININGS = {"scratch": "scratch", "fine_tune": "fine-tune", "bct": "bct", "kd": "kd"}
"""By column of the published table: the name of the training method in edgecmp."""

FROM_PRUNED = ("fine_tune", "bct")
METRICS = ("tpir_fpir1e-1", "top10")
"""The metric of the paper; top-10 replaces it on data without probes that are not enrolled."""


def cells(context: Context) -> Sequence[Cell]:
    """One cell per pruning method, amount and training method."""
    return [
        Cell(
            key=_key(method, amount, training),
            system=_system(method, amount),
            make=partial(_made, context, method, amount, training),
            check=partial(context.check_pruned, _recipe(context, training), 0),
        )
        for method in METHODS
        for amount in AMOUNTS
        for training in TRAININGS
    ]


def _key(method: str, amount: float, training: str) -> str:
    return f"pruned/{method}-{amount:g}/{training}"


def _system(method: str, amount: float) -> str:
    return f"{method} {amount:.0%}"


def _recipe(context: Context, training: str) -> QueryRecipe:
    return replace(context.recipe.pruned, methods=(method_named(TRAININGS[training]),))


def _made(context: Context, method: str, amount: float, training: str) -> Run:
    start = context.pruned(method, amount)
    gallery = context.prunable()
    job = Trained(
        key=_key(method, amount, training),
        recipe=_recipe(context, training),
        form=QueryBundle.load(start).architecture,
        seed=0,
        start=start if training in FROM_PRUNED else None,
    )
    return context.make(job, gallery=gallery)


def groups(runs: Runs) -> Sequence[Group]:
    """One row per pruning method and amount, one column per training; the unpruned model is first.

    The measured metric is TPIR@FPIR=1e-1, as published, if the test data is IJB-C; otherwise it is
    top-10 accuracy.
    """
    rows = {(row["prune_method"], row["amount"]): row for row in published("table4").rows}
    made = {
        (method, amount): {
            training: run
            for training in TRAININGS
            if (run := runs.get(_key(method, amount, training)))
        }
        for method in METHODS
        for amount in AMOUNTS
    }
    some = next((run for found in made.values() for run in found.values()), None)
    unpruned = Group(
        table="table4",
        system="unpruned",
        group="heterogeneous",
        published={"scratch": number(rows[None, 0.0], "scratch")},
        values={"scratch": _figure(some, "gg")} if some else {},
        runs=int(some is not None),
    )
    return [unpruned] + [
        Group(
            table="table4",
            system=_system(method, amount),
            group="heterogeneous",
            published={name: number(rows[method, amount], name) for name in TRAININGS},
            values={name: _figure(run, "qg") for name, run in found.items()},
            runs=len(found),
            wanted=len(TRAININGS),
            facts={"mflops": next((run.mflops for run in found.values()), None)},
        )
        for (method, amount), found in made.items()
    ]


def _figure(run: Run, protocol: str) -> list[float]:
    """The first of `METRICS` that the run has."""
    return next(found for metric in METRICS if (found := scores_of([run], protocol, metric)))


table4 = Table(
    name="table4",
    title="pruned copies of the gallery model, heterogeneous accuracy, % (ours: top-10)",
    published_data="IJB-C 1:N, TPIR@FPIR=1e-1",
    cells=cells,
    groups=groups,
)
