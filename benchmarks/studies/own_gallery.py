"""A gallery model of other people and one's own photos: what a user's own script reaches.

    python -m scripts.foreign_gallery --out runs/galleries
    python -m scripts.pack_emoji --shape manifest --domains vendors --splits --out runs/photos
    python -m edgecmp.benchmarks.studies.own_gallery --gallery runs/galleries/kit.toml \\
        --data runs/photos/photos.toml --minutes 10 30 60 --out runs/own_gallery \\
        --runs runs/mine10.json --networks runs/mine10/query

The script is `edgecmp.benchmarks.studies.user_script`: MobileNetV2(0.5x), trained by the cosine to
the gallery's embeddings for so many minutes, which include embedding the photos; it uses as many
threads as torch does. Its network is then written by torch's exporter and measured by edgecmp's
evaluator. Beside it stand, with --runs, what `edgecmp run --json` wrote, and with --networks, other
query networks, measured in the same way.

Rows of "training images" pose the training split as a task: they show whether a network has the
capacity for what it learned. Several --data, such as 25, 50 and 100 % of the same photos
(`scripts.pack_emoji --share`), are the curve over the data. --split validation is for choosing
settings: it measures the hold-out instead, among gallery images of the training identities. A
finished cell in OUT is not trained again; results are in percent.
"""

from __future__ import annotations

import argparse
import itertools
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from edgecmp.benchmarks.studies.own_gallery_figures import Split, measure, run_rows
from edgecmp.benchmarks.studies.study import print_rows, study_parser, write_study
from edgecmp.benchmarks.studies.user_script import Student, train
from edgecmp.data import Dataset, ImageSet, load_dataset
from edgecmp.decoding import flat
from edgecmp.errors import UserError
from edgecmp.files import read_json, write_json
from edgecmp.gallery.open import open_gallery
from edgecmp.gallery.source import ModelSource
from edgecmp.networks.onnx_network import OnnxModel
from edgecmp.progress import say

__all__ = ["Cell", "main"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One training by the user's script.

    Attributes:
        data: the photos, as `load_dataset` accepts them.
        gallery: the .toml description of an ONNX file.
        minutes: wall time, including the embedding of the photos.
        size: side of the network's images, in pixels.
        lr: of AdamW.
        batch: images per step.
        strength: of the augmentation.
        seed: of the training.
    """

    data: str
    gallery: str
    minutes: float
    size: int
    lr: float
    batch: int
    strength: float
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        where = f"{Path(self.data).stem}-{Path(self.gallery).stem}"
        how = f"lr{self.lr:g}-batch{self.batch}-strength{self.strength:g}-seed{self.seed}"
        return f"{where}-{self.minutes:g}m-{self.size}px-{how}"

    def train(self, model: OnnxModel, dataset: Dataset, folder: Path) -> dict[str, Any]:
        """Trains and writes query.onnx and query.toml; returns seconds, epochs and threads."""
        prepare = model.preprocessing

        def planes(photo: Image.Image) -> Any:
            return prepare.normalise(prepare.fit(photo)[None]).numpy()[0]

        student, facts = train(
            _photos(dataset.train),
            model.file.path,
            planes,
            seconds=60 * self.minutes,
            size=self.size,
            lr=self.lr,
            batch=self.batch,
            strength=self.strength,
            seed=self.seed,
        )
        _write(student, folder, self.size)
        return {**facts, "images": len(dataset.train), "threads": torch.get_num_threads()}


def _photos(images: ImageSet) -> Iterator[Image.Image]:
    """The images one by one, RGB."""
    for row in images.rows.tolist():
        yield flat(images.source.image(row))


def _write(student: Student, folder: Path, size: int) -> None:
    """The network as an ONNX file with the description that edgecmp reads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about this exporter's age
        torch.onnx.export(
            student,
            (torch.zeros(2, 3, size, size),),
            folder / "query.onnx",
            input_names=["image"],
            output_names=["embedding"],
            dynamo=False,
            opset_version=18,
            dynamic_axes={"image": {0: "batch"}, "embedding": {0: "batch"}},
        )
    half = "[0.5, 0.5, 0.5]"
    text = f'onnx = "query.onnx"\nmean = {half}\nstd = {half}\nfit = "stretch"\n'
    (folder / "query.toml").write_text(text)


def _cell_rows(
    cell: Cell, out: Path, model: OnnxModel, dataset: Dataset, split: Split
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of a cell and its document; trains it if OUT does not have it."""
    folder = out / cell.name
    written = folder / "cell.json"
    settings = {
        **asdict(cell),
        "gallery_sha256": model.sha256,
        "data_fingerprint": dataset.train.fingerprint,
    }
    if not written.exists():
        say(f"Training {cell.name}")
        folder.mkdir(parents=True, exist_ok=True)
        write_json(written, {"settings": settings, **cell.train(model, dataset, folder)})
    document = read_json(written, what="a cell of the study")
    if document["settings"] != settings:
        raise UserError(
            f"{folder} contains a cell of another gallery model or of other data.",
            "Use another --out, or delete that folder.",
        )
    row = {
        "network": "a user's script",
        "data": Path(cell.data).stem,
        "images": document["images"],
        "minutes": cell.minutes,
        "size": cell.size,
        "seed": cell.seed,
        "epochs": round(document["epochs"], 1),
        "embed_s": round(document["embed_seconds"], 1),
    }
    measured = measure(folder / "query.toml", ModelSource(model), dataset, split)
    return [row | one for one in measured], document


def _open(gallery: Path) -> OnnxModel:
    """The gallery model, which must be an ONNX file with a description."""
    model = open_gallery(gallery)
    if not isinstance(model, OnnxModel):
        raise UserError(
            f"{gallery} is not an ONNX file with a description, which the user's script reads.",
            "Name a .toml file, such as `python -m scripts.foreign_gallery` writes.",
        )
    return model


def _parser() -> argparse.ArgumentParser:
    parser = study_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the cells")
    parser.add_argument("--gallery", type=Path, required=True, help=".toml of an ONNX file")
    parser.add_argument("--data", nargs="+", required=True, metavar="PATH")
    parser.add_argument("--minutes", nargs="*", type=float, default=[10.0])
    parser.add_argument("--sizes", nargs="+", type=int, default=[64], help="pixels")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--lrs", nargs="+", type=float, default=[2e-3])
    parser.add_argument("--batches", nargs="+", type=int, default=[128])
    parser.add_argument("--strengths", nargs="+", type=float, default=[0.5])
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--runs", nargs="*", type=Path, default=[], help="--json of edgecmp run")
    parser.add_argument("--networks", nargs="*", type=Path, default=[], help="also measured")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains the missing cells, measures them, prints the rows and writes own_gallery.json."""
    given = _parser().parse_args(arguments)
    model = _open(given.gallery)
    rows: list[dict[str, Any]] = []
    cells: list[dict[str, Any]] = []
    for data in given.data:
        dataset = load_dataset(data)
        choices = (given.minutes, given.sizes, given.lrs, given.batches, given.strengths)
        for seed, (minutes, size, lr, batch, strength) in itertools.product(
            given.seeds, itertools.product(*choices)
        ):
            cell = Cell(
                data=data,
                gallery=str(given.gallery),
                minutes=minutes,
                size=size,
                lr=lr,
                batch=batch,
                strength=strength,
                seed=seed,
            )
            found, document = _cell_rows(cell, given.out, model, dataset, given.split)
            rows += found
            cells.append(document)
            write_study(given.out / "own_gallery.json", {"rows": rows, "cells": cells})
        for network in given.networks:
            label = {"network": str(network), "data": Path(data).stem}
            measured = measure(network, ModelSource(model), dataset, given.split)
            rows += [label | one for one in measured]
    for file in given.runs:
        rows += run_rows(file)
    print_rows(rows)
    write_study(given.out / "own_gallery.json", {"rows": rows, "cells": cells})


if __name__ == "__main__":
    main()
