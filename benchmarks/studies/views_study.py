"""Imitation by fixed views: what the gallery model's share of the time is better spent on.

    python -m edgecmp.benchmarks.studies.views_study --out runs/views --seconds 600 --seeds 0 1

Each row is one training of the same network with the same augmentation, which differs from the
others in its targets only:

- "regression": the gallery model's embeddings of the images as they are.
- "fresh": its embeddings of the augmented and blended images, in every step.
- "1 view", "4 views", "8 views": its embeddings of so many fixed views of each image.

All rows get the same time, and hence other numbers of epochs: two epochs of "regression" and of
"fresh" in OUT/pace are timed first, which gives the time of an epoch without the gallery model, and
that of the gallery model for all images. Results are for the test split, in percent. A finished
training in OUT is not repeated, and an interrupted one is resumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgecmp import kit
from edgecmp.benchmarks.studies.study import (
    means_of_arms,
    print_rows,
    study_parser,
    write_study,
)
from edgecmp.evaluation.retrieval import evaluate_retrieval
from edgecmp.files import read_json, write_json
from edgecmp.progress import say
from edgecmp.training.decide import DecidedQuery, decide_query
from edgecmp.training.lengths import with_epochs
from edgecmp.training.methods import Imitation, RegressionCosine
from edgecmp.training.query import QueryRecipe, train_query

__all__ = ["ARMS", "Arm", "Pace", "Study", "main", "summary"]

SCORES = ("qg_top1", "qg_top10", "qq_top1", "qq_top10")


@dataclass(frozen=True, slots=True)
class Arm:
    """One kind of row.

    Attributes:
        imitates: whether the targets are those of augmented images.
        views: of each image; 0: new ones in every step.
    """

    imitates: bool
    views: int = 0

    def recipe(self, base: QueryRecipe) -> QueryRecipe:
        """The settings of this arm."""
        method = Imitation() if self.imitates else RegressionCosine()
        return replace(base, methods=(method,), views=self.views)


ARMS = {
    "regression": Arm(imitates=False),
    "fresh": Arm(imitates=True),
    "1 view": Arm(imitates=True, views=1),
    "4 views": Arm(imitates=True, views=4),
    "8 views": Arm(imitates=True, views=8),
}


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of an epoch.

    Attributes:
        network: of the query network.
        gallery: of the gallery model, for all images.
    """

    network: float
    gallery: float

    def epochs(self, arm: Arm, seconds: float) -> int:
        """Epochs of an arm in so many seconds, at least 1."""
        if not arm.imitates:
            count = seconds / self.network
        else:
            both = seconds / (self.network + self.gallery)
            after = (seconds - arm.views * self.gallery) / self.network
            count = max(both, after) if arm.views else both
        return max(1, round(count))


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What all rows have in common.

    Attributes:
        out: folder of the trainings and the results.
        seconds: of each training.
        data: name or path of the data.
        decided: the recipe, the data, the gallery, the architecture and the start.
    """

    out: Path
    seconds: float
    data: str
    decided: DecidedQuery

    def pace(self) -> Pace:
        """The time of an epoch, measured once for all rows."""
        written = self.out / "pace" / "pace.json"
        if written.exists():
            return Pace(**read_json(written, what="the pace of a study"))
        last = {
            name: self._train(name, 2, 0, self.out / "pace" / name)[-1]["seconds"]
            for name in ("regression", "fresh")
        }
        gallery = max(0.0, last["fresh"] - last["regression"])
        pace = Pace(network=last["regression"], gallery=gallery)
        write_json(written, {"network": pace.network, "gallery": pace.gallery})
        return pace

    def cell(self, name: str, seed: int) -> dict[str, Any]:
        """The scores of one training.

        Args:
            name: of the arm.
            seed: of the training.

        Raises:
            UserError: the folder contains a training with other settings.
        """
        epochs = self.pace().epochs(ARMS[name], self.seconds)
        say(f"{name}, seed {seed}: {epochs} epochs")
        folder = self.out / f"{name.replace(' ', '-')}-seed{seed}"
        records = self._train(name, epochs, seed, folder)
        rows = evaluate_retrieval(folder, gallery=self.decided.source, data=self.data).rows
        scores = {f"{row['protocol']}_{score}": row[score] for row in rows for score in row}
        return {
            "arm": name,
            "seed": seed,
            "epochs": epochs,
            **{score: scores[score] for score in SCORES},
            "seconds": round(sum(record["seconds"] for record in records), 1),
        }

    def _train(self, name: str, epochs: int, seed: int, folder: Path) -> list[dict[str, float]]:
        """The records of the epochs of a training."""
        decided = self.decided
        report = train_query(
            with_epochs(ARMS[name].recipe(decided.recipe), epochs),
            architecture=decided.architecture,
            out=folder,
            gallery=decided.source,
            start=decided.start,
            data=decided.dataset,
            seed=seed,
        )
        return report.records


def summary(cells: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the study, see `means_of_arms`."""
    return means_of_arms(cells, alike=("epochs",), scores=SCORES)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains the missing networks, prints a row per arm, and writes OUT/views.json."""
    parser = study_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=600.0, help="of each training")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--recipe")
    parser.add_argument("--input-size", type=int)
    parser.add_argument("--supernet")
    parser.add_argument(
        "--architecture", type=Path, default=kit.path("query") / "architecture.json"
    )
    parser.add_argument("--gallery", type=Path, default=kit.path("gallery"))
    parser.add_argument("--data", default="emoji")
    given = parser.parse_args(arguments)
    decided = decide_query(
        given.recipe,
        {"input_size": given.input_size},
        architecture=given.architecture,
        data=given.data,
        gallery=given.gallery,
        supernet=given.supernet,
        start=None,
    )
    study = Study(out=given.out, seconds=given.seconds, data=given.data, decided=decided)
    cells: list[dict[str, Any]] = []
    for seed in given.seeds:
        for arm in given.arms:
            cells.append(study.cell(arm, seed))
            write_study(study.out / "views.json", {"rows": summary(cells), "cells": cells})
    print_rows(summary(cells))


if __name__ == "__main__":
    main()
