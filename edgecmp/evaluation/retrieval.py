"""Evaluates a query network against a gallery by retrieval: M(g,g), M(q,q) and M(q,g)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from edgecmp import kit
from edgecmp.data import load_dataset
from edgecmp.data.deepfashion2_results import RESULTS_K, DeepFashion2Results
from edgecmp.data.protocol_names import GALLERY_KNOWN, KNOWN_SENTENCE
from edgecmp.errors import UserError
from edgecmp.evaluation.protocol_of import protocol_of
from edgecmp.gallery.open import check_pair, open_query
from edgecmp.gallery.source import Gallery, open_source
from edgecmp.metrics import FEW_QUERIES, ranked, tar_at_far, top_k, wilson
from edgecmp.metrics.exact_search import Cameras
from edgecmp.networks.embed import embed_set
from edgecmp.progress import say
from edgecmp.report import Report
from edgecmp.wording import counted

__all__ = ["EvaluationReport", "evaluate_retrieval", "protocol"]

KS = (1, 5, 10, 20)
FARS = {"1e-4": 1e-4, "1e-3": 1e-3, "1e-2": 1e-2}


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class EvaluationReport(Report):
    """The figures of one query network and one gallery.

    Attributes:
        rows: one per "protocol" ("gg", "qq", "qg"), with "top1".."top20" and
            "tar_far1e-4".."tar_far1e-2" in percent, and "protocol_name": "identities unseen", or
            "gallery known" if the query network was trained on images of the gallery.
        query: path of the query network.
        gallery: path of the gallery.
        data: name or path of the data.
        split: "test" or "validation".
        queries: number of queries that were used.
        all_queries: number of queries of the split.
        gallery_images: number of gallery images.
        queries_note: what the queries are, if they are altered copies; empty for most data.
        results: the ranking for DeepFashion2's official evaluation, if it was written.
    """

    rows: list[dict[str, Any]]
    query: str
    gallery: str
    data: str
    split: str
    queries: int
    all_queries: int
    gallery_images: int
    queries_note: str = ""
    results: Path | None = None

    @property
    def compatible(self) -> bool:
        """The compatibility rule: M(q,g) > M(q,q) at top-10 (supplement B)."""
        by = {row["protocol"]: row["top10"] for row in self.rows}
        return bool(by["qg"] > by["qq"])

    def sentences(self) -> list[str]:
        """The compatibility rule, what the queries are, and intervals where there are few."""
        rule = "holds" if self.compatible else "does not hold"
        found = [f"The compatibility rule M(q,g) > M(q,q) {rule} at top-10."]
        if self.gallery_images <= 10:
            found = [
                f"The gallery has only {counted(self.gallery_images, 'image')}, all of which are "
                "among the first ten: top-10 and the compatibility rule, which is measured by it, "
                "say nothing."
            ]
        if self.rows[0]["protocol_name"] == GALLERY_KNOWN:
            found.append(KNOWN_SENTENCE)
        if self.queries_note:
            found.append(self.queries_note)
        if self.queries < self.all_queries:
            found.append(f"Only {self.queries:,} of {self.all_queries:,} queries were used.")
        if self.queries < FEW_QUERIES:
            heterogeneous = self.intervals["qg"]
            shares = " and ".join(
                f"top-{k} at {low:.1f} to {high:.1f}"
                for k, (low, high) in ((k, heterogeneous[f"top{k}"]) for k in (1, 10))
            )
            found.append(
                f"From only {counted(self.queries, 'query')}, the 95 % intervals of M(q,g) are "
                f"{shares} %."
            )
        return found

    @property
    def intervals(self) -> dict[str, dict[str, tuple[float, float]]]:
        """By protocol, the 95 % interval of each top-k in percent, of independent queries."""
        return {
            row["protocol"]: {
                f"top{k}": _percent(wilson(row[f"top{k}"] / 100, self.queries)) for k in KS
            }
            for row in self.rows
        }

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
            "all_queries": self.all_queries,
            "gallery_images": self.gallery_images,
            "queries_note": self.queries_note,
            "intervals": self.intervals,
        }


def _percent(interval: tuple[float, float]) -> tuple[float, float]:
    low, high = interval
    return round(100 * low, 2), round(100 * high, 2)


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
    limit: int | None = None,
    results: str | Path | None = None,
) -> EvaluationReport:
    """Measures one query network against one gallery on unseen identities.

    Args:
        model: path of a query network, as for `open_query`; None: the starter kit's.
        gallery: a gallery, as for `open_source`; None: the starter kit's. M(g,g) is left out if the
            gallery is a table without embeddings of the queries.
        data: name or path of a data set, as for `load_dataset`.
        split: "test", or "validation" for the hold-out of searches.
        limit: number of queries, evenly spaced; all if None.
        results: file for the ranking under M(q,g), in the format of DeepFashion2's official
            evaluation.

    Raises:
        UserError: the query network was trained for another gallery model or on one of the queries,
            the data cannot be read, or `results` is given for other data than DeepFashion2.
    """
    query_model = open_query(model or kit.path("query"))
    source = open_source(gallery)
    check_pair(query_model, source)
    whole = load_dataset(data).retrieval(split)
    task = whole.limited(limit)
    say(f"Evaluating on the {split} split of {data}: {task.describe()}.")
    name = protocol_of(query_model, task)
    if results is not None and limit is not None:
        raise UserError(
            "--results is a ranking of all queries, but --limit leaves some out.",
            "Omit one of them.",
        )
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
        | {"protocol_name": name}
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
        all_queries=len(whole.queries),
        gallery_images=len(task.gallery),
        queries_note=task.queries_note,
        results=None if results is None else Path(results),
    )
