"""Images without labels: what they bring to the same query network in the same time.

    python -m edgecmp.benchmarks.studies.unlabelled_study --out runs/unlabelled --epochs 8

Three arms, each with every seed: labelled images only; with images without labels; with those and
the gallery's images. Without --unlabelled, a share of the training identities keeps its labels and
the images of the others are the ones without. Every arm sees the same number of images in batches
of the same size, hence fewer epochs of more images, so that all take about the same seconds. A
finished cell in OUT is not trained again. Results are for the test split, in percent; figures of
the last arm are of another protocol, which each row names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgecmp import kit
from edgecmp.benchmarks.studies.study import (
    means_of_arms,
    print_rows,
    study_parser,
    write_study,
)
from edgecmp.data import Dataset, ImageSet, load_dataset
from edgecmp.evaluation.retrieval import evaluate_retrieval
from edgecmp.progress import say
from edgecmp.training.decide import decide_query
from edgecmp.training.lengths import with_epochs
from edgecmp.training.more_images import MoreImages
from edgecmp.training.query import train_query

__all__ = ["ARMS", "Study", "main", "summary"]

ARMS = ("labelled", "unlabelled", "gallery")
"""Labelled images only; with images without labels; with those and the gallery's images."""

SCORES = ("qg_top1", "qg_top10", "qq_top1", "qq_top10")


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """The settings that all cells share.

    Attributes:
        out: folder of the cells and the results.
        architecture: of the network, as `load_form` accepts it.
        gallery: as `open_source` accepts it.
        data: name or path of the data.
        unlabelled: paths of images without labels; empty: the rest of the training identities.
        share: of the training identities that keep their labels, 0..1, if there are no such paths.
        recipe: a name, a .toml file or a recipe, as `decide_query` takes it.
        epochs: of the arm "labelled"; those of the recipe if None.
        supernet: that the network starts from, as `query_start` takes it.
    """

    out: Path
    architecture: Path
    gallery: Path
    data: str = "emoji"
    unlabelled: tuple[Path, ...] = ()
    share: float = 0.25
    recipe: str | None = None
    epochs: int | None = None
    supernet: str | None = None

    def images(self) -> tuple[Dataset, list[Path | ImageSet]]:
        """The data of all arms, and the images without labels."""
        dataset = load_dataset(self.data)
        if self.unlabelled:
            return dataset, [*self.unlabelled]
        train = dataset.train
        identities = len(train.identity_names)
        kept = np.random.default_rng(0).permutation(identities)[: round(self.share * identities)]
        labelled = np.isin(train.identities, kept)
        few = replace(dataset, train=train.subset(labelled).relabelled())
        return few, [train.subset(~labelled)]

    def cell(self, arm: str, seed: int) -> dict[str, Any]:
        """The scores of one training, "qg_top1" ..., with its protocol, images and seconds.

        Args:
            arm: one of `ARMS`.
            seed: of the training.

        Raises:
            UserError: the folder contains a training with other settings.
        """
        dataset, unlabelled = self.images()
        decided = decide_query(
            self.recipe,
            {"epochs": self.epochs},
            architecture=self.architecture,
            data=dataset,
            gallery=self.gallery,
            supernet=self.supernet,
            start=None,
        )
        more = MoreImages.open(
            dataset,
            () if arm == "labelled" else unlabelled,
            gallery_images=arm == "gallery",
        )
        images = len(dataset.train) + len(more)
        epochs = max(1, round(decided.recipe.schedule.epochs * len(dataset.train) / images))
        say(f"{arm}, seed {seed}: {epochs} epochs of {images:,} images")
        folder = self.out / f"{arm}-seed{seed}"
        report = train_query(
            with_epochs(decided.recipe, epochs),
            architecture=decided.architecture,
            out=folder,
            gallery=decided.source,
            start=decided.start,
            data=dataset,
            more=more,
            seed=seed,
        )
        rows = evaluate_retrieval(folder, gallery=self.gallery, data=self.data).rows
        scores = {f"{row['protocol']}_{name}": row[name] for row in rows for name in row}
        return {
            "arm": arm,
            "seed": seed,
            "protocol_name": rows[0]["protocol_name"],
            "labelled": len(dataset.train),
            "more": len(more),
            "epochs": epochs,
            **{name: scores[name] for name in SCORES},
            "seconds": round(sum(record["seconds"] for record in report.records), 1),
        }


def summary(cells: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the study, see `means_of_arms`."""
    return means_of_arms(
        cells, alike=("protocol_name", "labelled", "more", "epochs"), scores=SCORES
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains the missing cells, prints one row per arm, and writes the JSON."""
    parser = study_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--recipe")
    parser.add_argument("--supernet")
    parser.add_argument(
        "--architecture", type=Path, default=kit.path("query") / "architecture.json"
    )
    parser.add_argument("--gallery", type=Path, default=kit.path("gallery"))
    parser.add_argument("--data", default="emoji")
    parser.add_argument("--unlabelled", nargs="+", type=Path, default=[])
    parser.add_argument("--share", type=float, default=0.25)
    given = vars(parser.parse_args(arguments))
    arms, seeds = given.pop("arms"), given.pop("seeds")
    study = Study(**{**given, "unlabelled": tuple(given["unlabelled"])})
    cells: list[dict[str, Any]] = []
    for seed in seeds:
        for arm in arms:
            cells.append(study.cell(arm, seed))
            document = {"rows": summary(cells), "cells": cells}
            write_study(study.out / "unlabelled.json", document)
    print_rows(summary(cells))


if __name__ == "__main__":
    main()
