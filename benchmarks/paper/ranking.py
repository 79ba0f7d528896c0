"""Does the supernet rank networks as training each of them alone does? Kendall's tau tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecmp import kit
from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.benchmarks.paper.run import Runs
from edgecmp.benchmarks.paper.training import Trained, make
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
    """What the supernet says of each network, and what it is alone.

    Attributes:
        rows: one a network: "mflops", "supernet_mqq", "supernet_mqg", "alone_mqq", "alone_mqg", in
            percent, by `metric` on the search's hold-out.
        taus: reward to Kendall's tau between both orders.
        low, high: the same over all sets of networks with one left out.
        picture: where the scatter lies.
    """

    rows: list[dict[str, Any]]
    taus: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]
    metric: str
    picture: Path

    def sentences(self) -> list[str]:
        """Kendall's tau by each reward."""
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
    """Measures random networks in the supernet, trains each alone, and compares the two orders.

    Args:
        nets: how many; uniform samples of what holds the budget.
        budget: FLOPs at 224 x 224; the tier's if None.
        recipe_name: whose query recipe trains them, from scratch.
        out: folder of the runs; one that was begun there is taken up.
        supernet, gallery: the starter kit's if None.
        data: the recipe's own if None.
        seed: of the sample and of the trainings.

    Raises:
        UserError: fewer than four networks, or a supernet of another gallery model.
    """
    if nets < FEWEST:
        raise UserError(
            f"--nets must be at least {FEWEST} (got {nets}).",
            "A rank correlation needs several networks.",
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
    say(f"{nets} networks: each is measured in the supernet, then trained alone.")
    rows = []
    for architecture in chosen:
        there = evaluator.evaluate(architecture)
        job = Trained(
            key=f"{architecture.fingerprint[:12]}/seed{seed}",
            recipe=made.figure,
            form=architecture,
            seed=seed,
        )
        alone = make(job, runs, gallery=gallery, data=data, test_data=data).holdout
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
    """Uniform samples under the budget, at the supernet's input size."""
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
    """Kendall's tau of each reward between the supernet's order and the one alone."""
    orders: list[list[dict[str, float]]] = [
        [rewards(row[f"{side}_mqq"] / 100, row[f"{side}_mqg"] / 100) for row in rows]
        for side in ("supernet", "alone")
    ]
    return {
        name: round(kendall_tau(*([one[name] for one in order] for order in orders)), 3)
        for name in REWARDS
    }


def _draw(rows: list[dict[str, Any]], taus: dict[str, float], path: Path) -> Path:
    """R3 alone over R3 in the supernet, coloured by FLOPs."""
    figure = new_figure(5.5, 4.5, title=f"{len(rows)} networks: Kendall tau {taus['r3']:.2f}")
    axes = figure.subplots()
    supernet, alone = (
        [row[f"{side}_mqq"] * row[f"{side}_mqg"] / 1e4 for row in rows]
        for side in ("supernet", "alone")
    )
    dots = axes.scatter(supernet, alone, c=[row["mflops"] for row in rows], cmap=SEQUENTIAL)
    colour_scale(axes, dots, "MFLOPs at 224 x 224")
    axes.set_xlabel("R3 by the supernet's weights")
    axes.set_ylabel("R3 when trained alone")
    tidy(axes)
    return save_figure(figure, path)
