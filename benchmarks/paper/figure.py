"""Figure 1: the best five networks by each reward, from a vanilla and from a BCT supernet.

Each of the five networks is trained separately by the same recipe, and a bar is their mean. The
paper has these figures only as a picture, so there are no published numbers to compare with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from edgecmp.benchmarks.paper.context import Context
from edgecmp.benchmarks.paper.run import Run, Runs
from edgecmp.benchmarks.paper.table import Cell, Group, Table
from edgecmp.benchmarks.paper.training import Trained
from edgecmp.networks.architecture import Architecture

__all__ = ["figure1"]

STRATEGIES = ("vanilla", "bct")
REWARDS = ("r1", "r2", "r3")
PLACES = 5
BUDGET = "100M"


def cells(context: Context) -> Sequence[Cell]:
    """One cell per strategy, reward and place among the best five.

    The best network of every bar comes first, so that an interrupted run shows all bars.
    """
    return [
        Cell(
            key=_key(strategy, reward, place),
            system=_system(strategy, reward),
            make=partial(_made, context, strategy, reward, place),
            check=partial(context.check, context.recipe.figure, 0),
        )
        for place in range(1, PLACES + 1)
        for strategy in STRATEGIES
        for reward in REWARDS
    ]


def _key(strategy: str, reward: str, place: int) -> str:
    return f"figure1/{strategy}-{reward}/{place}"


def _system(strategy: str, reward: str) -> str:
    return f"{'BCT' if strategy == 'bct' else 'vanilla'} {reward.upper()}"


def _made(context: Context, strategy: str, reward: str, place: int) -> Run:
    supernet = context.supernet(strategy, context.recipe.figure_supernets[strategy])
    best = context.best(f"{strategy}-{reward}", supernet, BUDGET, reward, PLACES)
    form = best[place - 1]
    key = _key(strategy, reward, place)
    twin = _twin(context.runs, key, form)
    if twin is not None:
        context.check(context.recipe.figure, 0, twin)
        run = replace(twin, key=key)
        context.runs.put(run)
        return run
    job = Trained(key=key, recipe=context.recipe.figure, form=form, seed=0)
    return context.make(job)


def _twin(runs: Runs, key: str, form: Architecture) -> Run | None:
    """The run of the same network for another bar, unless the run with this key exists."""
    if runs.own(key) is not None:
        return None
    document = form.to_dict()
    for strategy in STRATEGIES:
        for reward in REWARDS:
            for place in range(1, PLACES + 1):
                run = runs.own(_key(strategy, reward, place))
                if run is not None and _architecture(run) == document:
                    return run
    return None


def _architecture(run: Run) -> dict[str, Any]:
    document: dict[str, Any] = run.settings["architecture"]
    return document


def groups(runs: Runs) -> Sequence[Group]:
    """Two groups per bar, homogeneous and heterogeneous."""
    found = []
    for strategy in STRATEGIES:
        for reward in REWARDS:
            made = [
                run
                for place in range(1, PLACES + 1)
                if (run := runs.get(_key(strategy, reward, place)))
            ]
            for group, protocol in (("homogeneous", "qq"), ("heterogeneous", "qg")):
                found.append(
                    Group(
                        table="figure1",
                        system=_system(strategy, reward),
                        group=group,
                        published={},
                        values={
                            name: [run.scores[protocol][name] for run in made]
                            for name in ("top1", "top10")
                            if made
                        },
                        runs=len(made),
                        wanted=PLACES,
                        facts={"mflops": round(sum(r.mflops for r in made) / len(made), 2)}
                        if made
                        else {},
                    )
                )
    return found


figure1 = Table(
    name="figure1",
    title="mean of the best five networks under 100 MFLOPs, %",
    published_data="IJB-C and DeepFashion2, printed as a picture only",
    cells=cells,
    groups=groups,
)
