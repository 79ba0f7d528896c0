"""Evaluates a query network against a gallery by retrieval: M(g,g), M(q,q) and M(q,g)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from edgecmp import kit
from edgecmp.data import load_dataset
from edgecmp.data.deepfashion2_results import RESULTS_K, DeepFashion2Results
from edgecmp.gallery.open import check_pair, open_query
from edgecmp.gallery.source import Gallery, open_source
from edgecmp.metrics import ranked, tar_at_far, top_k
from edgecmp.metrics.exact_search import Cameras
from edgecmp.networks.embed import embed_set
from edgecmp.progress import say
from edgecmp.report import Report

__all__ = ["EvaluationReport", "evaluate_retrieval", "protocol"]

KS = (1, 5, 10, 20)
FARS = {"1e-4": 1e-4, "1e-3": 1e-3, "1e-2": 1e-2}


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class EvaluationReport(Report):
    """The figures of one query network and one gallery.

    Attributes:
        rows: one per "protocol" ("gg", "qq", "qg"), with "top1".."top20" and
            "tar_far1e-4".."tar_far1e-2" in percent.
        query: path of the query network.
        gallery: path of the gallery.
        data: name or path of the data.
        split: "test" or "validation".
        queries: number of queries.
        gallery_images: number of gallery images.
        results: the ranking for DeepFashion2's official evaluation, if it was written.
    """

    rows: list[dict[str, Any]]
    query: str
    gallery: str
    data: str
    split: str
    queries: int
    gallery_images: int
    results: Path | None = None

    @property
    def compatible(self) -> bool:
        """The compatibility rule: M(q,g) > M(q,q) at top-10 (supplement B)."""
        by = {row["protocol"]: row["top10"] for row in self.rows}
        return bool(by["qg"] > by["qq"])

    def sentences(self) -> list[str]:
        """The compatibility rule."""
        rule = "holds" if self.compatible else "does not hold"
        return [f"The compatibility rule M(q,g) > M(q,q) {rule} at top-10."]

    def written(self) -> dict[str, Path]:
        """What was written, and where."""
        return {} if self.results is None else {"the ranking": self.results}

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
    *,
    cameras: Cameras | None = None,
) -> dict[str, Any]:
    """One row of a report: retrieval and verification figures in percent.

    Args:
        name: "gg", "qq" or "qg".
        queries: (Q, D) embeddings.
        query_ids: (Q,) identities.
        gallery: (G, D) embeddings.
        gallery_ids: (G,) identities in the same numbering.
        cameras: of the queries and the gallery images (`Retrieval.cameras`).
    """
    task = queries, query_ids, gallery, gallery_ids
    shares = top_k(*task, ks=KS, cameras=cameras)
    tar = tar_at_far(*task, fars=tuple(FARS.values()), cameras=cameras)
    row: dict[str, Any] = {"protocol": name}
    row |= {f"top{k}": round(100 * share, 2) for k, share in shares.items()}
    return row | {f"tar_far{name}": round(100 * tar[far], 2) for name, far in FARS.items()}


def evaluate_retrieval(
    model: str | Path | None = None,
    *,
    gallery: Gallery = None,
    data: str = "emoji",
    split: Literal["validation", "test"] = "test",
    results: str | Path | None = None,
) -> EvaluationReport:
    """Measures one query network against one gallery on unseen identities.

    Args:
        model: path of a query network, as for `open_query`; None: the starter kit's.
        gallery: a gallery, as for `open_source`; None: the starter kit's. M(g,g) is left out if the
            gallery is a table without embeddings of the queries.
        data: name or path of a data set, as for `load_dataset`.
        split: "test", or "validation" for the hold-out of searches.
        results: file for the ranking under M(q,g), in the format of DeepFashion2's official
            evaluation.

    Raises:
        UserError: the query network was trained for another gallery model, the data cannot be read,
            or `results` is given for other data than DeepFashion2.
    """
    query_model = open_query(model or kit.path("query"))
    source = open_source(gallery)
    check_pair(query_model, source)
    task = load_dataset(data).retrieval(split)
    say(f"Evaluating on the {split} split of {data}: {task.describe()}.")
    official = None if results is None else DeepFashion2Results(task)
    queries = {"q": embed_set(query_model, task.queries)}
    found = {"q": embed_set(query_model, task.gallery), "g": source.embeddings(task.gallery)}
    if official is not None and results is not None:
        _, ranking = ranked(queries["q"], found["g"], RESULTS_K)
        official.write(ranking, results)
    if missing := source.missing(task.queries):
        say(
            f"M(g,g) is left out, since {source.name} has no embedding for {missing:,} of the "
            f"{len(task.queries):,} queries."
        )
    else:
        queries["g"] = source.embeddings(task.queries)
    rows = [
        protocol(
            left + right,
            queries[left],
            task.queries.identities,
            found[right],
            task.gallery.identities,
            cameras=task.cameras,
        )
        for left, right in ("gg", "qq", "qg")
        if left in queries
    ]
    return EvaluationReport(
        rows=rows,
        query=query_model.name,
        gallery=source.name,
        data=data,
        split=split,
        queries=len(task.queries),
        gallery_images=len(task.gallery),
        results=None if results is None else Path(results),
    )
