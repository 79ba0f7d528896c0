"""What adapters bring to a gallery model's own queries, before any network is trained.

    python -m edgecmp.benchmarks.studies.adapter_study --gallery runs/galleries/efficientnet_lite0.toml \\
        --data runs/photos/photos.toml --out runs/adapter

Each row is one way to query the gallery's unchanged index with the gallery model's embeddings of
the queries: as they are, which is M(g,g), and by each adapter of `edgecmp.training.adapter`, which
is fitted to the training images. The hold-out is measured among the gallery images of the training
identities, as in `own_gallery`; with --split test, the test split as it is. Results are in percent,
"rank" is the mean reciprocal rank.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgecmp.benchmarks.studies.own_gallery_figures import training_task
from edgecmp.benchmarks.studies.study import print_rows, study_parser, write_study
from edgecmp.data import Retrieval, load_dataset
from edgecmp.evaluation.ranks import reciprocal_ranks
from edgecmp.evaluation.retrieval import protocol
from edgecmp.gallery.source import GallerySource, open_source
from edgecmp.training.adapter import Moments

__all__ = ["main", "study_rows"]


def study_rows(
    source: GallerySource, task: Retrieval, others: NDArray[Any], moments: Moments
) -> list[dict[str, Any]]:
    """The rows.

    Args:
        source: the gallery.
        task: queries and gallery images.
        others: embeddings (N, D) of images of other identities that are in the gallery too.
        moments: of the training images.
    """
    asked = torch.from_numpy(source.embeddings(task.queries))
    gallery = np.concatenate([source.embeddings(task.gallery), others])
    nobody = np.full(len(others), -1)
    ids = np.concatenate([task.gallery.identities, nobody])
    cameras = task.cameras
    cameras = cameras and (cameras[0], np.concatenate([cameras[1], nobody]))
    ways = {"the embeddings": asked}
    for kind, shrinkage in moments.choices:
        ways[f"{kind}, shrinkage {shrinkage:g}"] = moments.queries(asked, kind, shrinkage)
    rows = []
    for name, queries in ways.items():
        ranked = (queries.numpy(), task.queries.identities, gallery, ids)
        figures = protocol("gg", *ranked, cameras=cameras)
        rank = float(reciprocal_ranks(*ranked, cameras=cameras).mean())
        shares = {f"top{k}": figures[f"top{k}"] for k in (1, 10)}
        rows.append({"queries": name, **shares, "rank": round(rank, 3)})
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the rows and writes OUT/adapter.json."""
    parser = study_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--gallery", type=Path)
    parser.add_argument("--data", default="emoji")
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    given = parser.parse_args(arguments)
    dataset, source = load_dataset(given.data), open_source(given.gallery)
    train = torch.from_numpy(source.embeddings(dataset.train))
    others = np.empty((0, train.shape[1]), np.float32)
    if given.split == "validation" and (training := training_task(dataset)) is not None:
        others = source.embeddings(training.gallery)
    rows = study_rows(
        source,
        dataset.retrieval(given.split),
        others,
        Moments.of(train, torch.from_numpy(dataset.train.identities)),
    )
    print_rows(rows)
    document = {"rows": rows, "split": given.split, "gallery": source.sha256}
    write_study(given.out / "adapter.json", document)


if __name__ == "__main__":
    main()
