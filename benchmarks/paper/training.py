"""Makes the run of a cell: trains a network, evaluates it on the test data and stores both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.benchmarks.paper.run import Run, Runs
from edgecmp.data import Dataset, load_dataset
from edgecmp.data.ijbc import AlignedFaces, find_ijbc, read_ijbc
from edgecmp.evaluation.evaluate import evaluate
from edgecmp.files import provenance
from edgecmp.gallery.open import open_gallery
from edgecmp.networks.form import Form
from edgecmp.networks.fvcore_flops import count_fvcore
from edgecmp.progress import say
from edgecmp.training.fit import document_of
from edgecmp.training.query import QueryRecipe, train_query

__all__ = ["PAPER_SIZE", "Trained", "make"]

PAPER_SIZE = 224
"""Image size, in pixels, for which the tables state MFLOPs."""

NETWORK = "network"


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


def make(job: Trained, runs: Runs, *, gallery: Path, data: str, test_data: str) -> Run:
    """The run of a job: read from the folder if it is there, otherwise made.

    An interrupted training resumes from its last complete epoch.
    """
    if runs.is_own(job.key):
        kept = runs.get(job.key)
        assert kept is not None
        return kept
    say(f"{job.key}: {job.form.label}, seed {job.seed}")
    folder = runs.place(job.key) / NETWORK
    report = train_query(
        job.recipe,
        architecture=job.form,
        out=folder,
        gallery=gallery,
        start=job.start,
        data=data,
        seed=job.seed,
    )
    bundle = QueryBundle.load(folder)
    dataset = load_dataset(data)
    scores = evaluate(folder, gallery=gallery, data=test_data)
    epochs, batch = job.recipe.schedule.epochs, job.recipe.schedule.batch_size
    run = Run(
        recipe=runs.recipe,
        key=job.key,
        settings={
            "training": document_of(job.recipe),
            "architecture": bundle.architecture.to_dict(),
            "start_sha256": bundle.manifest.recipe.get("start_sha256"),
            "seed": job.seed,
        },
        data={
            "name": dataset.name,
            "train": dataset.train.fingerprint,
            "test": _test_fingerprint(dataset, test_data),
        },
        gallery_sha256=open_gallery(gallery).sha256,
        mflops=round(count_fvcore(bundle.network, PAPER_SIZE).flops / 1e6, 2),
        params_m=round(sum(p.numel() for p in bundle.network.parameters()) / 1e6, 3),
        images_seen=epochs * max(1, len(dataset.train) // batch) * batch,
        scores={str(row["protocol"]): _scores(row) for row in scores.rows},
        holdout=dict(report.rows[0]),
        seconds=round(sum(record["seconds"] for record in report.records), 1),
        provenance=provenance(),
    )
    runs.put(run)
    return run


def _scores(row: dict[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in row.items()
        if name != "protocol" and value is not None
    }


def _test_fingerprint(dataset: Dataset, test_data: str) -> str:
    """Fingerprint of the test images: the test split of the training data, or other data."""
    ijbc = find_ijbc(test_data)
    if ijbc is not None:
        faces = AlignedFaces(read_ijbc(ijbc.path))
        return faces.fingerprint(range(len(faces)))
    if test_data == dataset.name:
        return dataset.test.fingerprint
    return load_dataset(test_data).test.fingerprint
