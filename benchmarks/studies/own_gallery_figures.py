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

from edgecmp.data import Dataset, Retrieval
from edgecmp.errors import UserError
from edgecmp.evaluation.retrieval import protocol
from edgecmp.files import read_json
from edgecmp.gallery.open import check_pair, open_query
from edgecmp.gallery.source import ModelSource
from edgecmp.networks.embed import embed_set
from edgecmp.progress import say

__all__ = ["Split", "measure", "run_rows"]

Split = Literal["validation", "test"]
TRAINING = "training images"


def measure(
    network: Path, source: ModelSource, dataset: Dataset, split: Split
) -> list[dict[str, Any]]:
    """The rows of one network: of the split and, beside the test split, of the training images.

    Args:
        network: as `open_query` accepts it.
        source: the gallery.
        dataset: the photos.
        split: "test" or "validation".
    """
    query = open_query(network)
    check_pair(query, source)
    rows = []
    for name, task in _tasks(dataset, split).items():
        queries = {"q": embed_set(query, task.queries), "g": source.embeddings(task.queries)}
        found = {"q": embed_set(query, task.gallery), "g": source.embeddings(task.gallery)}
        row: dict[str, Any] = {"task": name}
        for one in ("qg", "qq", "gg"):
            figures = protocol(
                one,
                queries[one[0]],
                task.queries.identities,
                found[one[1]],
                task.gallery.identities,
                cameras=task.cameras,
            )
            row |= {f"{one}_top{k}": figures[f"top{k}"] for k in (1, 10)}
        rows.append(row | _share(row))
    return rows


def _share(row: Mapping[str, Any]) -> dict[str, float | None]:
    """What a network reaches of the gallery model's own accuracy, in percent."""
    most = row["gg_top10"]
    return {"share_of_gg": round(100 * row["qg_top10"] / most, 1) if most else None}


def _tasks(dataset: Dataset, split: Split) -> dict[str, Retrieval]:
    """The task of the split; with the test split's, that of the training images if there is one."""
    if split == "validation":
        return {split: dataset.retrieval(split)}
    trained, domain = dataset.train, dataset.gallery_domain
    if domain is not None and not (trained.domains == trained.domain_names.index(domain)).any():
        domain = None  # then each identity's first image is in the gallery
    tasks: dict[str, Retrieval] = {split: dataset.retrieval(split)}
    try:
        posed = replace(dataset, test=trained, gallery_domain=domain).retrieval("test")
    except UserError as error:
        say(f"The training images are not measured: {error.what}")
        return tasks
    return tasks | {TRAINING: posed}


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
