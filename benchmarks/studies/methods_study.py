"""Training methods compared: the same query network, trained by each of them.

    python -m edgecmp.benchmarks.studies.methods_study --out runs/methods --epochs 8 --seeds 0 1

Every cell is one training of the architecture, with the recipe's schedule, augmentation and number
of images; only the method and the seed differ. It starts from random weights, or with --supernet
from the weights of a supernet: --supernet kit is the starter kit's. A finished cell in OUT is
not trained again, and an interrupted one is resumed. Results are for the test split, in percent;
`methods.json` and `methods.png` are written after each cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from edgecmp import kit
from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.benchmarks.studies.study import print_rows, study_parser, write_study
from edgecmp.data import load_dataset
from edgecmp.errors import UserError
from edgecmp.evaluation.retrieval import evaluate_retrieval
from edgecmp.files import provenance, read_json, write_json
from edgecmp.gallery.source import open_source
from edgecmp.networks.form import load_form
from edgecmp.plotting import (
    ACCENT,
    MUTED,
    legend_below,
    new_figure,
    save_figure,
    tidy,
    vertical_line,
)
from edgecmp.progress import say
from edgecmp.training.fields import document_of
from edgecmp.training.methods import METHODS, method_named
from edgecmp.training.query import train_query
from edgecmp.training.recipes import query_recipe
from edgecmp.training.starts import NONE

__all__ = ["Study", "main", "summary"]

SCORES = ("top1", "top10", "top20", "tar_far1e-3")


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """The settings that all cells share.

    Attributes:
        out: folder of the cells and the results.
        architecture: the network, as `load_form` accepts it.
        gallery: the gallery model, as `open_source` accepts it.
        data: registry name, folder or manifest.
        recipe: name of the recipe for schedule and augmentation.
        epochs: epochs of every training; those of the recipe if None.
        supernet: folder of a supernet that the trainings start from; random weights if None.
    """

    out: Path
    architecture: Path
    gallery: Path
    data: str = "emoji"
    recipe: str = "emoji-table"
    epochs: int | None = None
    supernet: Path | None = None

    def cell(self, method: str, seed: int) -> dict[str, Any]:
        """The scores of one training, "qq_top1", "qg_top1", ..., and its settings.

        Args:
            method: name of a method, or several names joined by "+", whose losses are added.
            seed: seed of the training.

        Raises:
            UserError: the folder contains a cell with other settings.
        """
        methods = tuple(method_named(name) for name in method.split("+"))
        recipe = replace(query_recipe(self.recipe), methods=methods)
        if self.epochs is not None:
            schedule = replace(recipe.schedule, epochs=self.epochs)
            recipe = replace(recipe, schedule=schedule, watch_every=self.epochs)
        form = load_form(self.architecture).resized(recipe.input_size)
        dataset = load_dataset(self.data)
        batch = recipe.schedule.batch_size
        settings: dict[str, Any] = {
            "method": method,
            "seed": seed,
            "recipe": document_of(recipe),
            "architecture_sha256": form.fingerprint,
            "gallery_sha256": open_source(self.gallery).sha256,
            "data": [dataset.name, dataset.train.fingerprint, dataset.test.fingerprint],
            "images_seen": recipe.schedule.epochs * max(1, len(dataset.train) // batch) * batch,
        }
        if self.supernet is not None:
            settings["supernet_sha256"] = SupernetBundle.load(self.supernet).sha256
        folder = self.out / f"{method}-seed{seed}"
        written = folder / "cell.json"
        if written.exists():
            found = read_json(written, what="a cell of the study")
            if found.get("settings") != settings:
                raise UserError(
                    f"{folder} contains a cell with other settings.",
                    "Use another --out, or delete that folder.",
                )
            return found
        say(f"{method}, seed {seed}")
        report = train_query(
            recipe,
            architecture=form,
            out=folder,
            gallery=self.gallery,
            supernet=NONE if self.supernet is None else self.supernet,
            data=self.data,
            seed=seed,
        )
        rows = evaluate_retrieval(folder, gallery=self.gallery, data=self.data).rows
        document = {
            "settings": settings,
            "scores": {
                f"{row['protocol']}_{score}": row[score] for row in rows for score in SCORES
            },
            "seconds": round(sum(record["seconds"] for record in report.records), 1),
            "provenance": provenance(),
        }
        write_json(written, document)
        return document


def summary(cells: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per method, sorted by M(q,g) top-10: means over the seeds, percent.

    "spread" is the largest minus the smallest M(q,g) top-10 over the seeds; "rule" is the number of
    seeds with M(q,g) > M(q,q) at top-10.
    """
    by_method: dict[str, list[dict[str, Any]]] = {}
    for cell in cells:
        by_method.setdefault(cell["settings"]["method"], []).append(cell)
    rows = []
    for method, runs in by_method.items():
        scores = [run["scores"] for run in runs]
        tens = [score["qg_top10"] for score in scores]
        satisfied = sum(score["qg_top10"] > score["qq_top10"] for score in scores)
        row: dict[str, Any] = {"method": method, "seeds": len(runs)}
        for name in ("qg_top10", "qg_top1", "qg_tar_far1e-3", "qq_top10", "qq_top1"):
            row[name] = round(mean(score[name] for score in scores), 2)
        row |= {"spread": round(max(tens) - min(tens), 2), "rule": f"{satisfied} of {len(runs)}"}
        rows.append(row | {"minutes": round(mean(run["seconds"] for run in runs) / 60, 1)})
    return sorted(rows, key=lambda row: -row["qg_top10"])


def draw(cells: Sequence[dict[str, Any]], path: Path) -> Path:
    """One dot per seed: M(q,g) and M(q,q) top-10 of each method, the best method on top."""
    order = [row["method"] for row in reversed(summary(cells))]
    figure = new_figure(8, 1.4 + 0.36 * len(order))
    axes = figure.subplots()
    for protocol, marker, colour in (("qq", "o", MUTED), ("qg", "D", ACCENT)):
        axes.scatter(
            [cell["scores"][f"{protocol}_top10"] for cell in cells],
            [order.index(cell["settings"]["method"]) for cell in cells],
            marker=marker,
            color=colour,
            alpha=0.8,
            label=f"M({protocol[0]},{protocol[1]})",
        )
    paragon = [cell["scores"]["gg_top10"] for cell in cells if "gg_top10" in cell["scores"]]
    if paragon:
        vertical_line(axes, paragon[0], f"gallery model, M(g,g): {paragon[0]:.1f}")
    axes.set_yticks(range(len(order)), order)
    axes.set_xlabel("top-10 on the test split, percent")
    tidy(axes)
    legend_below(figure, axes)
    return save_figure(figure, path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains the missing cells, prints one row per method, writes the JSON and the picture."""
    parser = study_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), metavar="NAME[+NAME]")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--recipe", default="emoji-table")
    parser.add_argument(
        "--architecture", type=Path, default=kit.path("query") / "architecture.json"
    )
    parser.add_argument("--gallery", type=Path, default=kit.path("gallery"))
    parser.add_argument("--data", default="emoji")
    parser.add_argument("--supernet", type=Path, help='folder, or "kit"; none by default')
    given = parser.parse_args(arguments)
    study = Study(
        out=given.out,
        architecture=given.architecture,
        gallery=given.gallery,
        data=given.data,
        recipe=given.recipe,
        epochs=given.epochs,
        supernet=kit.path("supernet") if given.supernet == Path("kit") else given.supernet,
    )
    cells: list[dict[str, Any]] = []
    for seed in given.seeds:
        for method in given.methods:
            cells.append(study.cell(method, seed))
            write_study(given.out / "methods.json", {"rows": summary(cells), "cells": cells})
            draw(cells, given.out / "methods.png")
    print_rows(summary(cells))


if __name__ == "__main__":
    main()
