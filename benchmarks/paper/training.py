"""Makes the run of a cell: trains a network, evaluates it on the test data and stores both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.artefacts.manifest import Manifest
from edgecmp.benchmarks.paper.run import Run, Runs
from edgecmp.data import Dataset, load_dataset
from edgecmp.data.ijbc import AlignedFaces, find_ijbc, read_ijbc
from edgecmp.errors import UserError
from edgecmp.evaluation.evaluate import evaluate
from edgecmp.files import provenance
from edgecmp.gallery.open import open_gallery
from edgecmp.networks.form import Form
from edgecmp.networks.fvcore_flops import count_fvcore
from edgecmp.progress import say
from edgecmp.training.differences import differences, sentence_of
from edgecmp.training.fields import document_of
from edgecmp.training.query import QueryRecipe, train_query

__all__ = ["PAPER_SIZE", "Inputs", "Trained", "make", "require_equal", "require_same"]

PAPER_SIZE = 224
"""Image size, in pixels, for which the tables state MFLOPs."""

NETWORK = "network"


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """What all runs of a command have in common.

    Attributes:
        data: name or path of the training data.
        test_data: name or path of the test data: the same, or a separate set such as IJB-C.
        fingerprints: "name" of the training data, and fingerprints of the "train" and "test"
            images, as in `Run.data`.
    """

    data: str
    test_data: str
    fingerprints: Mapping[str, str]

    @classmethod
    def opened(cls, data: str, test_data: str) -> Inputs:
        """Reads both, before trainings that take hours.

        Raises:
            UserError: one of them cannot be read.
        """
        dataset = load_dataset(data)
        fingerprints = {
            "name": dataset.name,
            "train": dataset.train.fingerprint,
            "test": _test_fingerprint(dataset, data, test_data),
        }
        return cls(data=data, test_data=test_data, fingerprints=fingerprints)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """The training of one run.

    Attributes:
        key: see `Run`.
        recipe: recipe of the training.
        form: form of the network.
        seed: seed of the training.
        start: folder of the query network whose weights it starts from, or None.
    """

    key: str
    recipe: QueryRecipe
    form: Form
    seed: int
    start: Path | None = None


def require_same(
    run: Run, path: Path, *, recipe: QueryRecipe, seed: int, inputs: Inputs, gallery: str | None
) -> None:
    """Refuses an earlier run that was made from something else.

    Args:
        run: the earlier run.
        path: its folder.
        recipe: of its training, as this command has it.
        seed: of its training.
        inputs: the data of this command.
        gallery: hash of the gallery model of this command; None if it is not there to compare.

    Raises:
        UserError: they differ; the message says in what.
    """
    before = {
        "training": run.settings.get("training"),
        "seed": run.settings.get("seed"),
        "images": run.data.get("train"),
        "test_images": run.data.get("test"),
        "gallery": run.gallery_sha256,
    }
    now = {
        "training": document_of(recipe),
        "seed": seed,
        "images": inputs.fingerprints["train"],
        "test_images": inputs.fingerprints["test"],
        "gallery": run.gallery_sha256 if gallery is None else gallery,
    }
    require_equal(before, now, path)


def require_equal(before: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    """Refuses earlier work in a folder if its settings differ.

    Raises:
        UserError: they differ; the message says in what.
    """
    if different := differences(before, now):
        raise UserError(
            f"{path} was made with other settings: {sentence_of(different)}.",
            f"Name another folder with --out, or remove {path} to make it again.",
        )


def make(job: Trained, runs: Runs, *, gallery: Path, inputs: Inputs) -> Run:
    """The run of a job: read from the folder if it is there, otherwise made.

    An interrupted training resumes from its last complete epoch.

    Raises:
        UserError: the run in the folder was made with other settings.
    """
    form = job.form.resized(job.recipe.input_size)
    place, gallery_sha256 = runs.place(job.key), open_gallery(gallery).sha256
    kept = runs.own(job.key)
    if kept is not None:
        require_same(
            kept,
            place,
            recipe=job.recipe,
            seed=job.seed,
            inputs=inputs,
            gallery=gallery_sha256,
        )
        start_sha256 = Manifest.load(job.start).weights_sha256 if job.start else None
        now = {"architecture": form.to_dict(), "start_sha256": start_sha256}
        require_equal({name: kept.settings.get(name) for name in now}, now, place)
        return kept
    say(f"{job.key}: {job.form.label}, seed {job.seed}")
    folder = place / NETWORK
    report = train_query(
        job.recipe,
        architecture=job.form,
        out=folder,
        gallery=gallery,
        start=job.start,
        data=inputs.data,
        seed=job.seed,
    )
    bundle = QueryBundle.load(folder)
    scores = evaluate(folder, gallery=gallery, data=inputs.test_data)
    epochs, batch = job.recipe.schedule.epochs, job.recipe.schedule.batch_size
    images = len(load_dataset(inputs.data).train)
    run = Run(
        recipe=runs.recipe,
        key=job.key,
        settings={
            "training": document_of(job.recipe),
            "architecture": bundle.architecture.to_dict(),
            "start_sha256": bundle.manifest.recipe.get("start_sha256"),
            "seed": job.seed,
        },
        data=inputs.fingerprints,
        gallery_sha256=gallery_sha256,
        mflops=round(count_fvcore(bundle.network, PAPER_SIZE).flops / 1e6, 2),
        params_m=round(sum(p.numel() for p in bundle.network.parameters()) / 1e6, 3),
        images_seen=epochs * max(1, images // batch) * batch,
        scores={str(row["protocol"]): _scores(row) for row in scores.rows},
        holdout=_scores(report.rows[0]),
        seconds=round(sum(record["seconds"] for record in report.records), 1),
        provenance=provenance(),
    )
    runs.put(run)
    return run


def _scores(row: dict[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in row.items()
        if name not in ("protocol", "protocol_name") and value is not None
    }


def _test_fingerprint(dataset: Dataset, data: str, test_data: str) -> str:
    """Fingerprint of the test images: the test split of the training data, or other data."""
    ijbc = find_ijbc(test_data)
    if ijbc is not None:
        faces = AlignedFaces(read_ijbc(ijbc.path))
        return faces.fingerprint(range(len(faces)))
    if test_data == data:
        return dataset.test.fingerprint
    return load_dataset(test_data).test.fingerprint
