"""Rank correlation (Kendall's tau) of networks in the supernet and trained separately."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecmp import kit
from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.benchmarks.paper.run import Runs
from edgecmp.benchmarks.paper.training import Inputs, Trained, make
from edgecmp.errors import UserError
from edgecmp.files import write_json
from edgecmp.metrics.rank import kendall_tau
from edgecmp.networks.architecture import Architecture
from edgecmp.plotting import SEQUENTIAL, colour_scale, new_figure, save_figure, tidy
from edgecmp.progress import say
from edgecmp.report import Report
from edgecmp.search.evaluation.rewards import REWARDS, rewards
from edgecmp.search.evaluation.supernet import SupernetEvaluator, open_evaluator
from edgecmp.search.space.constraint import FlopsBudget, parse_budget
from edgecmp.search.space.flops import FlopsTable
from edgecmp.training.recipes import recipe

__all__ = ["RankingStudy", "study_ranking"]

FEWEST = 4


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class RankingStudy(Report):
    """The accuracy of networks with the supernet's weights and after separate training.

    Attributes:
        rows: one per network: "network", "mflops", and "supernet_mqq", "supernet_mqg", "alone_mqq"
            and "alone_mqg" in percent, by `metric` on the hold-out of the search.
        taus: by reward: Kendall's tau of the two orders.
        low: smallest tau when any one network is left out.
        high: largest tau when any one network is left out.
        metric: the metric of the accuracies.
        picture: the file of the scatter plot.
    """

    rows: list[dict[str, Any]]
    taus: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]
    metric: str
    picture: Path

    def sentences(self) -> list[str]:
        """Kendall's tau by reward."""
        return [
            f"Kendall tau by {name.upper()}: {tau:.2f} "
            f"({self.low[name]:.2f} to {self.high[name]:.2f} with one network left out)"
            for name, tau in self.taus.items()
        ]

    def written(self) -> dict[str, Path]:
        """The picture."""
        return {"the picture": self.picture}

    def to_dict(self) -> dict[str, Any]:
        """What `--json` writes."""
        return {
            "rows": self.rows,
            "metric": self.metric,
            "kendall_tau": self.taus,
            "leave_one_out": {name: [self.low[name], self.high[name]] for name in self.taus},
        }


def study_ranking(
    *,
    nets: int = 8,
    budget: str | None = None,
    recipe_name: str = "emoji",
    out: Path,
    supernet: Path | None = None,
    gallery: Path | None = None,
    data: str | None = None,
    seed: int = 0,
) -> RankingStudy:
    """Scores random networks in the supernet, trains each separately, and compares the orders.

    Args:
        nets: number of networks, which are sampled uniformly within the budget.
        budget: FLOPs at 224 x 224; that of the tier if None.
        recipe_name: name of the recipe whose query recipe trains the networks from scratch.
        out: folder of the runs; an interrupted run in it is resumed.
        supernet: folder of the supernet; the starter kit's if None.
        gallery: folder of its gallery model; the starter kit's if None.
        data: that of the recipe if None.
        seed: of the sample and of the trainings.

    Raises:
        UserError: there are fewer than four networks, or the supernet belongs to another gallery
            model.
    """
    if nets < FEWEST:
        raise UserError(
            f"--nets must be at least {FEWEST} (got {nets}).",
            f"Use --nets {FEWEST} or more, since a rank correlation needs several networks.",
        )
    made = recipe(recipe_name)
    data = data or made.data or "emoji"
    gallery = gallery or kit.path("gallery")
    bundle = SupernetBundle.load(supernet or kit.path("supernet"))
    table = FlopsTable.of(bundle.network.tier, embedding_dim=bundle.network.embedding_dim)
    bound = FlopsBudget(table, parse_budget(budget or bundle.network.tier))
    evaluator = open_evaluator(bundle, gallery=gallery, data=data)
    chosen = _sample(bound, evaluator, nets, seed)
    runs = Runs(out, f"ranking-{recipe_name}", recorded=False)
    inputs = Inputs.opened(data, data)
    say(f"{nets} networks: each is scored in the supernet, then trained separately.")
    rows = []
    for architecture in chosen:
        there = evaluator.evaluate(architecture)
        job = Trained(
            key=f"{architecture.fingerprint[:12]}/seed{seed}",
            recipe=made.figure,
            form=architecture,
            seed=seed,
        )
        alone = make(job, runs, gallery=gallery, inputs=inputs).holdout
        rows.append(
            {
                "network": architecture.fingerprint[:12],
                "mflops": round(table.count(architecture) / 1e6, 1),
                "supernet_mqq": round(100 * there.mqq[made.metric], 2),
                "supernet_mqg": round(100 * there.mqg[made.metric], 2),
                "alone_mqq": alone[f"qq_{made.metric}"],
                "alone_mqg": alone[f"qg_{made.metric}"],
            }
        )
    taus = _taus(rows)
    others = [_taus(rows[:place] + rows[place + 1 :]) for place in range(len(rows))]
    found = RankingStudy(
        rows=rows,
        taus=taus,
        low={name: min(other[name] for other in others) for name in taus},
        high={name: max(other[name] for other in others) for name in taus},
        metric=made.metric,
        picture=_draw(rows, taus, out / "ranking.png"),
    )
    write_json(out / "ranking.json", found.to_dict())
    return found


def _sample(
    bound: FlopsBudget, evaluator: SupernetEvaluator, nets: int, seed: int
) -> list[Architecture]:
    """Uniform samples within the budget, at the input size of the supernet."""
    blocks, widths = bound.sample(np.random.default_rng(seed), nets)
    return [
        Architecture(
            tier=evaluator.tier,
            blocks=tuple(block.tolist()),
            widths=tuple(width.tolist()),
            embedding_dim=evaluator.embedding_dim,
            input_size=evaluator.input_size,
        )
        for block, width in zip(blocks, widths, strict=True)
    ]


def _taus(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Kendall's tau of both orders, by reward."""
    orders: list[list[dict[str, float]]] = [
        [rewards(row[f"{side}_mqq"] / 100, row[f"{side}_mqg"] / 100) for row in rows]
        for side in ("supernet", "alone")
    ]
    return {
        name: round(kendall_tau(*([one[name] for one in order] for order in orders)), 3)
        for name in REWARDS
    }


def _draw(rows: list[dict[str, Any]], taus: dict[str, float], path: Path) -> Path:
    """R3 after separate training over R3 in the supernet, coloured by FLOPs."""
    figure = new_figure(5.5, 4.5, title=f"{len(rows)} networks: Kendall tau {taus['r3']:.2f}")
    axes = figure.subplots()
    supernet, alone = (
        [row[f"{side}_mqq"] * row[f"{side}_mqg"] / 1e4 for row in rows]
        for side in ("supernet", "alone")
    )
    dots = axes.scatter(supernet, alone, c=[row["mflops"] for row in rows], cmap=SEQUENTIAL)
    colour_scale(axes, dots, "MFLOPs at 224 x 224")
    axes.set_xlabel("R3 with the supernet's weights")
    axes.set_ylabel("R3 after separate training")
    tidy(axes)
    return save_figure(figure, path)
