"""Evaluation of a query network against a gallery: M(g,g), M(q,q) and M(q,g)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from edgecmp import kit
from edgecmp.bundle import GalleryBundle, QueryBundle
from edgecmp.data import load_dataset
from edgecmp.embedding import embed
from edgecmp.errors import UserError
from edgecmp.metrics import tar_at_far, top_k

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
) -> EvaluationReport:
    """Measures one query network against one gallery model on unseen identities.

    Args:
        model: folder of a query bundle; the starter kit's by default.
        gallery: folder of a gallery bundle; the starter kit's by default.
        data: registry name, folder or manifest.
        split: "test", or "validation" for what the search saw.

    Raises:
        UserError: the query network was trained for another gallery model.
    """
    query_bundle = QueryBundle.load(model or kit.path("query"))
    gallery_bundle = GalleryBundle.load(gallery or kit.path("gallery"))
    if query_bundle.manifest.gallery_sha256 not in (None, gallery_bundle.sha256):
        raise UserError(
            f"{query_bundle.folder} was trained for another gallery model than "
            f"{gallery_bundle.folder}.",
            "Name with --gallery the gallery model it was trained with, or train it again.",
        )
    task = load_dataset(data).retrieval(split)
    embeddings: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
    for letter, bundle in (("q", query_bundle), ("g", gallery_bundle)):
        prepare = bundle.preprocessing
        embeddings[letter] = (
            embed(bundle.network, task.queries.pixels(prepare), prepare),
            embed(bundle.network, task.gallery.pixels(prepare), prepare),
        )
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
        query=str(query_bundle.folder),
        gallery=str(gallery_bundle.folder),
        data=data,
        split=split,
        queries=len(task.queries),
        gallery_images=len(task.gallery),
    )
