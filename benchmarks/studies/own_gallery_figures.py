"""The figures of `edgecmp.benchmarks.studies.own_gallery`: of a network, and of an `edgecmp run`.

A row is one network on one task: M(q,g), M(q,q) and M(g,g) at top-1 and top-10 in percent, and what
the first reaches of the last. The training split poses a task like the test split's, which shows
whether a network has the capacity for what it learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgecmp.data import Dataset, ImageSet, Retrieval
from edgecmp.errors import UserError
from edgecmp.evaluation.retrieval import protocol
from edgecmp.files import read_json
from edgecmp.gallery.open import check_pair, open_query
from edgecmp.gallery.source import ModelSource
from edgecmp.networks.embed import Embedder, embed_set
from edgecmp.progress import say

__all__ = ["Split", "measure", "run_rows", "training_task"]

Split = Literal["validation", "test"]
TRAINING = "training images"


def measure(
    network: Path, source: ModelSource, dataset: Dataset, split: Split
) -> list[dict[str, Any]]:
    """The rows of one network on the test split and the training images, or on the hold-out.

    Args:
        network: as `open_query` accepts it.
        source: the gallery.
        dataset: the photos.
        split: "test" or "validation".
    """
    query = open_query(network)
    check_pair(query, source)
    training = training_task(dataset)
    if split == "test":
        tasks: dict[str, Retrieval] = {split: dataset.retrieval(split)}
        if training is not None:
            tasks[TRAINING] = training
        return [{"task": name} | _figures(query, source, task) for name, task in tasks.items()]
    others = None if training is None else training.gallery
    task = f"{split}, among training images" if others else split
    return [{"task": task} | _figures(query, source, dataset.retrieval(split), others)]


def _figures(
    query: Embedder, source: ModelSource, task: Retrieval, others: ImageSet | None = None
) -> dict[str, Any]:
    """The protocols of one network on one task.

    Args:
        query: the network.
        source: the gallery.
        task: queries and gallery images.
        others: images of other identities that make the gallery larger.
    """
    gallery = [task.gallery] if others is None else [task.gallery, others]
    queries = {"q": embed_set(query, task.queries), "g": source.embeddings(task.queries)}
    found = {
        "q": np.concatenate([embed_set(query, images) for images in gallery]),
        "g": np.concatenate([source.embeddings(images) for images in gallery]),
    }
    identities, cameras = task.gallery.identities, task.cameras
    if others is not None:
        nobody = np.full(len(others), -1)
        identities = np.concatenate((identities, nobody))
        cameras = cameras and (cameras[0], np.concatenate((cameras[1], nobody)))
    row: dict[str, Any] = {}
    for one in ("qg", "qq", "gg"):
        figures = protocol(
            one,
            queries[one[0]],
            task.queries.identities,
            found[one[1]],
            identities,
            cameras=cameras,
        )
        row |= {f"{one}_top{k}": figures[f"top{k}"] for k in (1, 10)}
    return row | _share(row)


def _share(row: Mapping[str, Any]) -> dict[str, float | None]:
    """What a network reaches of the gallery model's own accuracy, in percent."""
    most = row["gg_top10"]
    return {"share_of_gg": round(100 * row["qg_top10"] / most, 1) if most else None}


def training_task(dataset: Dataset) -> Retrieval | None:
    """The task of the training images, posed like that of the test split; None: there is none."""
    trained, domain = dataset.train, dataset.gallery_domain
    if domain is not None and not (trained.domains == trained.domain_names.index(domain)).any():
        domain = None  # then each identity's first image is in the gallery
    try:
        return replace(dataset, test=trained, gallery_domain=domain).retrieval("test")
    except UserError as error:
        say(f"The training images are not measured: {error.what}")
        return None


def run_rows(file: Path) -> list[dict[str, Any]]:
    """One row of what `edgecmp run --json` wrote.

    Raises:
        UserError: it is not such a document.
    """
    document = read_json(file, what="a run of `edgecmp run --json`")
    try:
        by = {row["protocol"]: row for row in document["rows"]}
        figures = {
            f"{one}_top{k}": by[one][f"top{k}"] for one in ("qg", "qq", "gg") for k in (1, 10)
        }
        minutes = document["seconds"] / 60
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{file} is not what `edgecmp run --json` writes.",
            "Name the file of its --json.",
        ) from error
    row = {"network": str(file), "minutes": round(minutes, 1), "task": "test"}
    return [row | figures | _share(figures)]
