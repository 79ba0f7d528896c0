"""What a start is worth: query networks from random weights and from the starter kit's supernet.

    python -m edgecmp.benchmarks.studies.starts_study --out runs/starts

Each row is one training of the kit's architecture of a tier, by regression to the gallery's
embeddings, with all other settings from the recipe:

- "none": random initial weights, three epochs.
- "kit": the kit's supernet, one epoch. Its head is kept for the kit's own gallery. For a wider tier
  than its own the supernet is widened, and its head is fitted.
- "kit, new head": the same for the gallery's embeddings, rotated into a space of WIDTH values that
  no supernet knows. Their distances are the same, so that the rows can be compared.

With --gallery all rows are trained for that gallery, and both of the latter get a new head.
"before" is M(q,g) top-10 before the first step. Results are for the hold-out, in percent. A
finished training in OUT is not repeated, and an interrupted one is resumed.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgecmp import kit
from edgecmp.benchmarks.studies.study import print_rows, study_parser, write_study
from edgecmp.data import Dataset, load_dataset
from edgecmp.errors import UserError
from edgecmp.evaluation.holdout import HoldOut
from edgecmp.gallery.embedding_table import EmbeddingTable
from edgecmp.gallery.source import GallerySource, TableSource, open_source
from edgecmp.kept import keeping
from edgecmp.networks.tiers import TIERS
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import say
from edgecmp.training.decide import DecidedQuery, decide_query
from edgecmp.training.methods import RegressionCosine
from edgecmp.training.query import train_query
from edgecmp.training.supervision import Supervision

__all__ = ["ARMS", "Arm", "Setting", "main", "rotated"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One kind of row.

    Attributes:
        name: in the table.
        start: as `query_start` takes it.
        epochs: of the training.
        rotated: whether the embeddings are rotated into another space.
    """

    name: str
    start: str
    epochs: int
    rotated: bool = False


ARMS = (Arm("none", "none", 3), Arm("kit", "kit", 1), Arm("kit, new head", "kit", 1, rotated=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What all rows have in common.

    Attributes:
        out: folder of the trainings.
        dataset: the data.
        sources: the gallery, by whether its embeddings are rotated.
        recipe: name of the query recipe.
        input_size: in pixels; None: that of the kit's architectures.
    """

    out: Path
    dataset: Dataset
    sources: Mapping[bool, GallerySource]
    recipe: str
    input_size: int | None

    def row(self, arm: Arm, tier: str, seed: int) -> dict[str, Any]:
        """Trains a network, and measures it.

        Raises:
            UserError: its folder contains a training with other settings.
        """
        say(f"{tier}, start: {arm.name}, {arm.epochs} epochs, seed {seed}")
        decided = decide_query(
            self.recipe,
            {"epochs": arm.epochs, "input_size": self.input_size},
            architecture=kit.architecture(tier),
            data=self.dataset,
            gallery=self.sources[arm.rotated],
            supernet=arm.start,
            start=None,
        )
        before = self._before(decided, seed)
        report = train_query(
            replace(decided.recipe, methods=(RegressionCosine(),)),
            architecture=decided.architecture,
            out=self.out / "-".join((tier, *arm.name.replace(",", "").split(), f"seed{seed}")),
            gallery=decided.source,
            start=decided.start,
            data=self.dataset,
            seed=seed,
        )
        result = report.rows[0]
        return {
            "tier": tier,
            "start": arm.name,
            "epochs": arm.epochs,
            "seed": seed,
            "before": before,
            **{name: result[name] for name in ("qg_top1", "qg_top10", "qq_top1", "qq_top10")},
            "seconds": round(sum(record["seconds"] for record in report.records), 1),
        }

    def _before(self, decided: DecidedQuery, seed: int) -> float:
        """M(q,g) top-10 of the network before the first step, in percent."""
        prepare = Preprocessing(input_size=decided.recipe.input_size)
        torch.manual_seed(seed)
        form = decided.architecture
        network = form.resized(prepare.input_size, decided.source.embedding_dim).build()
        if decided.start is not None:
            images = Supervision(decided.source, self.dataset.train, prepare)
            decided.start.fill(network, images, seed)
        holdout = HoldOut(self.dataset, decided.source, prepare)
        return round(100 * holdout.evaluate(network, calibrate=False)["qg_top10"], 2)


def rotated(source: GallerySource, dataset: Dataset, width: int) -> TableSource:
    """A table of the gallery's embeddings of training images and hold-out, in another space.

    Args:
        source: the gallery.
        dataset: the data.
        width: values of an embedding, at least those of the gallery.

    Raises:
        UserError: the space is too small for a rotation.
    """
    if width < source.embedding_dim:
        raise UserError(
            f"Embeddings of {source.embedding_dim} values cannot be rotated into a space of "
            f"{width}.",
            f"Use a --width of at least {source.embedding_dim}.",
        )
    square = np.random.default_rng(0).normal(size=(width, source.embedding_dim))
    basis = np.linalg.qr(square)[0].astype(np.float32)  # (width, D), orthonormal columns
    keys: tuple[str, ...] = ()
    found = []
    for images in (dataset.train, dataset.validation):
        keys += images.keys
        found.append(source.embeddings(images) @ basis.T)
    name = f"{source.name}, in {width} values"
    return TableSource(EmbeddingTable.of(keys, np.concatenate(found), name=name))


def _rows(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Trains the missing networks, and writes what is known after each."""
    dataset, source = load_dataset(given.data), open_source(given.gallery)
    arms = [ARMS[number] for number in given.arms]
    sources = {False: source}
    if any(arm.rotated for arm in arms):
        sources[True] = rotated(source, dataset, given.width)
    setting = Setting(
        out=given.out,
        dataset=dataset,
        sources=sources,
        recipe=given.recipe,
        input_size=given.input_size,
    )
    rows: list[dict[str, Any]] = []
    for seed, tier, arm in itertools.product(given.seeds, given.tiers, arms):
        rows.append(setting.row(arm, tier, seed))
        write_study(given.out / "starts.json", {"rows": rows, "gallery": source.sha256})
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains the missing networks, prints a row each, and writes them to OUT/starts.json."""
    parser = study_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tiers", nargs="+", choices=TIERS, default=["100M"])
    parser.add_argument("--arms", nargs="+", type=int, default=list(range(len(ARMS))))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--recipe", default="photos")
    parser.add_argument("--input-size", type=int)
    parser.add_argument("--gallery", type=Path)
    parser.add_argument("--data", default="emoji")
    given = parser.parse_args(arguments)
    with keeping():  # all rows have the same embeddings of the gallery model
        rows = _rows(given)
    print_rows(rows)


if __name__ == "__main__":
    main()
