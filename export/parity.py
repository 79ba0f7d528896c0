"""`edgecmp parity`: does the exported file find what the server would find?

Real test queries go through the file's own preprocessing into the file, in each runtime that loads
it, and into the torch network it was made from. Both embeddings search the server's gallery index.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp import kit
from edgecmp.data import Retrieval, load_dataset
from edgecmp.embedding import Embedder
from edgecmp.errors import UserError
from edgecmp.export.trial import Trial, open_trials
from edgecmp.export.verdict import BOUNDS, Finds, compare, judge
from edgecmp.files import provenance
from edgecmp.index import GalleryIndex
from edgecmp.models import open_query
from edgecmp.progress import duration, progress, say

__all__ = ["ParityReport", "parity"]

BATCH = 128
"""Images held in memory at a time."""

TOP = 10

FIGURES = (
    "min_cosine",
    "p1_cosine",
    "mean_cosine",
    "top1_agreement",
    "top10_overlap",
    "delta_top1",
    "delta_top10",
    "delta_top10_low",
    "delta_top10_high",
    "collapse",
    "collapse_torch",
)
"""The figures of a `Comparison` that a row shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParityReport:
    """Each file in each runtime against the torch network.

    Attributes:
        rows: one dictionary each: target, precision, runtime, file, size_mb, `FIGURES` (None where
            nothing was run), bounds, verdict ("pass", "fail" or "not run") and reason.
        queries: number of test queries.
        gallery: number of gallery images.
        torch_top1, torch_top10: accuracy of the torch network, in percent.
    """

    rows: list[dict[str, Any]]
    model: str
    index: str
    data: str
    queries: int
    gallery: int
    torch_top1: float
    torch_top10: float
    provenance: dict[str, str] = field(default_factory=provenance)

    @property
    def passed(self) -> bool:
        """Whether something was run and nothing failed."""
        verdicts = {row["verdict"] for row in self.rows}
        return "pass" in verdicts and "fail" not in verdicts

    def to_dict(self) -> dict[str, Any]:
        """What `--json` writes."""
        return {"passed": self.passed, **asdict(self)}


def parity(
    files: Sequence[str | Path],
    *,
    model: str | Path | None = None,
    index: str | Path | None = None,
    data: str = "emoji",
    limit: int | None = None,
    seed: int = 0,
) -> ParityReport:
    """Compares exported files with the network they were made from, on real queries.

    Args:
        files: exported files of one query network, or descriptions (.toml) of ONNX files from
            elsewhere.
        model: that network, as `open_query` takes it; the starter kit's by default.
        index: folder of the server's gallery index; the starter kit's by default.
        data: registry name, folder or manifest; its test split gives the queries.
        limit: number of queries, drawn evenly from all; all by default. One query in fewer than
            1000 moves the top-10 accuracy by more than the bound of fp16.
        seed: of the bootstrap.

    Raises:
        UserError: a file is truncated, damaged, foreign or of another network; or the file, the
            network and the index do not share the gallery model and the preprocessing.
    """
    if not files:
        raise UserError("Parity needs at least one file.", "Name what `edgecmp export` wrote.")
    query = open_query(model or kit.path("query"))
    gallery = GalleryIndex.load(index or kit.path("index"))
    trials = [trial for file in files for trial in open_trials(Path(file), query, gallery)]
    task = _limited(load_dataset(data).retrieval("test"), limit)
    _check_gallery(gallery, task, data)
    reference = _embed(task, query, trials)
    finds = _search(gallery, reference, task)
    rows = [_row(trial, reference, finds, gallery, task, seed=seed) for trial in trials]
    return ParityReport(
        rows=rows,
        model=query.name,
        index=str(index or kit.path("index")),
        data=data,
        queries=len(task.queries),
        gallery=len(task.gallery),
        torch_top1=100 * float(finds.hits[:, 0].mean()),
        torch_top10=100 * float(finds.hits.any(1).mean()),
    )


def _limited(task: Retrieval, limit: int | None) -> Retrieval:
    """The task with `limit` of its queries, evenly spread."""
    if limit is None or limit >= len(task.queries):
        return task
    if limit < 1:
        raise UserError(f"A limit of {limit} queries leaves none.", "Use at least 1.")
    chosen = np.linspace(0, len(task.queries) - 1, limit).round().astype(np.int64)
    return Retrieval(queries=task.queries.subset(chosen), gallery=task.gallery)


def _check_gallery(gallery: GalleryIndex, task: Retrieval, data: str) -> None:
    if gallery.manifest.data["fingerprint"] != task.gallery.fingerprint:
        raise UserError(
            f"The gallery index does not hold the gallery images of {data!r}.",
            "Name their index with --index, or build one with `edgecmp gallery build`.",
        )


def _embed(task: Retrieval, query: Embedder, trials: Sequence[Trial]) -> NDArray[np.float32]:
    """Embeds the queries with every trial and gives torch's embeddings, (Q, D)."""
    preprocessing = query.preprocessing
    count = len(task.queries)
    seconds = sum(trial.pace(preprocessing.input_size) for trial in trials)
    running = sum(trial.runner is not None for trial in trials)
    say(
        f"Embedding {count:,} queries with torch and with {running} combinations of file and "
        f"runtime: about {duration(count * seconds)}."
    )
    reference = []
    with progress("Parity", total=count, unit="image") as bar:
        for start in range(0, count, BATCH):
            rows = np.arange(start, min(start + BATCH, count))
            pixels = task.queries.pixels(preprocessing, rows)
            reference.append(query.embed(pixels))
            for trial in trials:
                trial.feed(pixels)
            bar.advance(len(rows))
    return np.concatenate(reference)


def _search(gallery: GalleryIndex, embeddings: NDArray[np.float32], task: Retrieval) -> Finds:
    """The best gallery images of each query embedding (Q, D)."""
    _, images = gallery.search(embeddings, TOP)
    hits = task.gallery.identities[images] == task.queries.identities[:, None]  # (Q, k)
    return Finds(images=images, hits=hits)


def _row(
    trial: Trial,
    reference: NDArray[np.float32],
    finds: Finds,
    gallery: GalleryIndex,
    task: Retrieval,
    *,
    seed: int,
) -> dict[str, Any]:
    """One row of the report."""
    bounds = BOUNDS[trial.metadata.precision]
    figures: dict[str, Any] = dict.fromkeys(FIGURES)
    verdict, reason = trial.verdict, trial.fault
    if trial.runner is not None:
        embeddings = np.concatenate(trial.parts)
        if embeddings.shape != reference.shape:
            faults = [f"embeddings are {embeddings.shape[1:]}, torch's {reference.shape[1:]}"]
        elif not np.isfinite(embeddings).all():
            faults = ["some embeddings hold values that are no numbers"]
        else:
            comparison = compare(
                embeddings,
                reference,
                _search(gallery, embeddings, task),
                finds,
                task.queries.identities,
                seed=seed,
            )
            figures, faults = comparison.to_dict(), judge(comparison, bounds)
        verdict, reason = "fail" if faults else "pass", "; ".join(faults) or trial.note
    return {
        "target": trial.metadata.target,
        "precision": trial.metadata.precision,
        "runtime": trial.runtime,
        "file": str(trial.path),
        "size_mb": _size_mb(trial.path),
        **{name: _plain(figures[name]) for name in FIGURES},
        "bounds": asdict(bounds),
        "verdict": verdict,
        "reason": reason,
    }


def _plain(figure: float | None) -> float | None:
    """A figure as JSON can hold it: what is no number is None."""
    return figure if figure is not None and math.isfinite(figure) else None


def _size_mb(path: Path) -> float:
    """Size of a file, or of all files of a folder, in 10^6 bytes."""
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6
