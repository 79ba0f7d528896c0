"""Evaluation of a query network against a gallery: M(g,g), M(q,q) and M(q,g)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgecmp import kit
from edgecmp.data import load_dataset
from edgecmp.data.deepfashion2_results import RESULTS_K, DeepFashion2Results
from edgecmp.errors import UserError
from edgecmp.metrics import ranked, tar_at_far, top_k
from edgecmp.models import open_gallery, open_query

__all__ = ["EvaluationReport", "evaluate", "protocol"]

KS = (1, 5, 10, 20)
FAR = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationReport:
    """Rows of "protocol" ("gg", "qq", "qg"), "top1".."top20" and "tar_far1e-3", in percent."""

    rows: list[dict[str, Any]]
    query: str
    gallery: str
    data: str
    split: str
    queries: int
    gallery_images: int

    @property
    def compatible(self) -> bool:
        """The compatibility rule: M(q,g) > M(q,q) at top-10 (supplement B)."""
        by = {row["protocol"]: row["top10"] for row in self.rows}
        return bool(by["qg"] > by["qq"])

    def to_dict(self) -> dict[str, Any]:
        """What `edgecmp eval --json` writes."""
        return {
            "rows": self.rows,
            "compatible": self.compatible,
            "query": self.query,
            "gallery": self.gallery,
            "data": self.data,
            "split": self.split,
            "queries": self.queries,
            "gallery_images": self.gallery_images,
        }


def protocol(
    name: str,
    queries: NDArray[Any],
    query_ids: NDArray[Any],
    gallery: NDArray[Any],
    gallery_ids: NDArray[Any],
) -> dict[str, Any]:
    """One row: retrieval and verification of queries (Q, D) against a gallery (G, D), percent."""
    shares = top_k(queries, query_ids, gallery, gallery_ids, ks=KS)
    tar = tar_at_far(queries, query_ids, gallery, gallery_ids, fars=(FAR,))[FAR]
    row: dict[str, Any] = {"protocol": name}
    row |= {f"top{k}": round(100 * share, 2) for k, share in shares.items()}
    return row | {"tar_far1e-3": round(100 * tar, 2)}


def evaluate(
    model: str | Path | None = None,
    *,
    gallery: str | Path | None = None,
    data: str = "emoji",
    split: Literal["validation", "test"] = "test",
    results: str | Path | None = None,
) -> EvaluationReport:
    """Measures one query network against one gallery model on unseen identities.

    Args:
        model: a query network, as `open_query` takes it; the starter kit's by default.
        gallery: a gallery model, as `open_gallery` takes it; the starter kit's by default.
        data: registry name, folder or manifest.
        split: "test", or "validation" for what the search saw.
        results: a file for what M(q,g) found, as DeepFashion2's official evaluation reads it.

    Raises:
        UserError: the query network was trained for another gallery model, or `results` is asked
            for on other data than DeepFashion2.
    """
    query_model = open_query(model or kit.path("query"))
    gallery_model = open_gallery(gallery or kit.path("gallery"))
    if query_model.gallery_sha256 not in (None, gallery_model.sha256):
        raise UserError(
            f"{query_model.name} was trained for another gallery model than {gallery_model.name}.",
            "Name with --gallery the gallery model it was trained with, or train it again.",
        )
    if query_model.embedding_dim != gallery_model.embedding_dim:
        raise UserError(
            f"{query_model.name} gives {query_model.embedding_dim} values, {gallery_model.name} "
            f"{gallery_model.embedding_dim}: they are not compatible.",
            "Name a query network that was trained for this gallery model.",
        )
    task = load_dataset(data).retrieval(split)
    official = None if results is None else DeepFashion2Results(task)
    embeddings: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
    for letter, network in (("q", query_model), ("g", gallery_model)):
        prepare = network.preprocessing
        embeddings[letter] = (
            np.concatenate([network.embed(part) for part in task.queries.parts(prepare)]),
            np.concatenate([network.embed(part) for part in task.gallery.parts(prepare)]),
        )
    if official is not None and results is not None:
        _, ranking = ranked(embeddings["q"][0], embeddings["g"][1], RESULTS_K)
        official.write(ranking, results)
    rows = [
        protocol(
            left + right,
            embeddings[left][0],
            task.queries.identities,
            embeddings[right][1],
            task.gallery.identities,
        )
        for left, right in ("gg", "qq", "qg")
    ]
    return EvaluationReport(
        rows=rows,
        query=query_model.name,
        gallery=gallery_model.name,
        data=data,
        split=split,
        queries=len(task.queries),
        gallery_images=len(task.gallery),
    )
