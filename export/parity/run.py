"""`edgecmp parity`: does the exported file find what the server would find?

Real test queries go through the file's own preprocessing into the file, in each runtime that loads
it, and into the network it was made from. Both embeddings search the server's gallery index. The
compatibility rule M(q,g) > M(q,q) is a gate after each stage: trained, lowered, quantised,
converted. Where a gate shuts, the cause is looked for: a file that is fed wrongly is fed in other
ways, and layers are compared until one departs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgecmp import kit
from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.data import ImageSet, Retrieval, load_dataset
from edgecmp.errors import UserError
from edgecmp.export.parity.case import Trial, open_trials
from edgecmp.export.parity.compatibility import Rule, check_rule
from edgecmp.export.parity.diagnosis import IMAGES, first_departure, fits_when_fed
from edgecmp.export.parity.report import ParityReport, file_row, plain, rule_columns
from edgecmp.export.parity.retrieval import Finds, find
from edgecmp.export.parity.stages import Stage, stages
from edgecmp.export.parity.verdict import BOUNDS, Comparison, compare, judge
from edgecmp.export.runtimes.remote import Machine
from edgecmp.gallery.index import GalleryIndex
from edgecmp.gallery.open import open_query
from edgecmp.metrics.bootstrap import redraws
from edgecmp.networks.embed import Embedder
from edgecmp.progress import duration, progress, say

__all__ = ["ParityReport", "parity"]

BATCH = 128
"""Images held in memory at a time."""


def parity(
    files: Sequence[str | Path],
    *,
    model: str | Path | None = None,
    index: str | Path | None = None,
    data: str = "emoji",
    limit: int | None = None,
    machine: Machine | None = None,
    picture: str | Path | None = None,
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
        machine: another machine; files are run in its runtimes too.
        picture: a .png to draw cosines and rank changes into.
        seed: of the bootstrap.

    Raises:
        UserError: a file is truncated, damaged, foreign or of another network; or the file, the
            network and the index do not share the gallery model and the preprocessing.
    """
    if not files:
        raise UserError("Parity needs at least one file.", "Name what `edgecmp export` wrote.")
    if picture is not None and Path(picture).suffix != ".png":
        raise UserError(f"{picture} is no .png file.", "Name a picture such as parity.png.")
    query = open_query(model or kit.path("query"))
    gallery = GalleryIndex.load(index or kit.path("index"))
    trials = [trial for file in files for trial in open_trials(Path(file), query, gallery, machine)]
    task = _limited(load_dataset(data).retrieval("test"), limit)
    _check_gallery(gallery, task, data)
    bench = _Bench(query, gallery, task, trials, seed=seed)
    bench.run()
    drawn = None
    if picture is not None:
        from edgecmp.export.parity.plot import draw_parity

        drawn = str(draw_parity(Path(picture), bench.finds, bench.drawn))
    return ParityReport(
        rows=bench.rows,
        stages=bench.stage_rows,
        model=query.name,
        index=str(index or kit.path("index")),
        data=data,
        queries=len(task.queries),
        gallery=len(task.gallery),
        torch_top1=bench.finds.top1,
        torch_top10=bench.finds.top10,
        torch_tar=bench.finds.tar,
        picture=drawn,
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


class _Embedded(Protocol):
    """A stage or a trial, after it was fed."""

    parts: list[NDArray[np.float32]]
    gallery_parts: list[NDArray[np.float32]]


class _Bench:
    """The trained network, its later stages and its files, fed with the same images."""

    def __init__(
        self,
        query: Embedder,
        gallery: GalleryIndex,
        task: Retrieval,
        trials: Sequence[Trial],
        *,
        seed: int,
    ) -> None:
        self.query = query
        self.gallery = gallery
        self.task = task
        self.trials = trials
        metadata = [trial.metadata for trial in trials]
        self.stages = stages(query, metadata) if isinstance(query, QueryBundle) else []
        self.weights = redraws(len(task.queries), seed=seed)
        self.drawn: list[tuple[str, NDArray[np.float64], Finds]] = []

    def run(self) -> None:
        """Embeds everything, then judges every stage and every file."""
        self._say_cost()
        with progress("Parity", total=len(self.task.queries), unit="image") as bar:
            self.reference = self._feed(self.task.queries, "parts", bar)
        with progress("Parity, gallery", total=len(self.task.gallery), unit="image") as bar:
            self.own_gallery = self._feed(self.task.gallery, "gallery_parts", bar)
        self.finds = self._find(self.reference)
        rule = check_rule(self.finds, self._find(self.reference, self.own_gallery), self.weights)
        self.stage_rows = [self._stage_row("train", None, rule)]
        self.stage_rows += [self._judge_stage(stage) for stage in self.stages]
        self.rows = [self._judge_trial(trial) for trial in self.trials]
        self._name_wrong_runtimes()

    def _say_cost(self) -> None:
        size = self.query.preprocessing.input_size
        count = len(self.task.queries) + len(self.task.gallery)
        seconds = sum(trial.pace(size) for trial in self.trials)
        running = sum(trial.runner is not None for trial in self.trials)
        say(
            f"Embedding {count:,} images with the trained network, {len(self.stages)} later stages "
            f"and {running} combinations of file and runtime: about {duration(count * seconds)} "
            "for the files."
        )

    def _feed(self, images: ImageSet, where: str, bar: Any) -> NDArray[np.float32]:
        """Embeds images with everything; gives the trained network's embeddings (N, D)."""
        reference = []
        for start in range(0, len(images), BATCH):
            rows = np.arange(start, min(start + BATCH, len(images)))
            pixels = images.pixels(self.query.preprocessing, rows)
            reference.append(self.query.embed(pixels))
            for stage in self.stages:
                getattr(stage, where).append(stage.embed(pixels))
            for trial in self.trials:
                trial.feed(pixels, getattr(trial, where))
            bar.advance(len(rows))
        return np.concatenate(reference)

    def _find(
        self, queries: NDArray[np.float32], gallery: NDArray[np.float32] | None = None
    ) -> Finds:
        """The queries in the server's gallery, or in another one of the same images."""
        return find(
            queries,
            self.task.queries.identities,
            self.gallery.embeddings if gallery is None else gallery,
            self.task.gallery.identities,
        )

    def _compare(self, embedded: _Embedded) -> tuple[Comparison, Finds, Rule]:
        """Finite embeddings of queries and gallery images, against the trained network's."""
        embeddings = np.concatenate(embedded.parts)
        finds = self._find(embeddings)
        comparison = compare(
            embeddings,
            self.reference,
            finds,
            self.finds,
            self.task.queries.identities,
            weights=self.weights,
        )
        own = self._find(embeddings, np.concatenate(embedded.gallery_parts))
        return comparison, finds, check_rule(finds, own, self.weights)

    def _judge_stage(self, stage: Stage) -> dict[str, Any]:
        comparison, _, rule = self._compare(stage)
        return self._stage_row(stage.name, comparison, rule)

    def _stage_row(self, name: str, comparison: Comparison | None, rule: Rule) -> dict[str, Any]:
        """One row of the stages' table; the trained network is compared with nothing."""
        faults = [] if comparison is None else judge(comparison, _bounds_of(name))
        faults += _rule_faults(rule)
        figures = comparison.to_dict() if comparison is not None else {}
        return {
            "stage": name,
            "min_cosine": plain(figures.get("min_cosine")),
            "delta_top10": plain(figures.get("delta_top10")),
            **rule_columns(rule),
            "verdict": "fail" if faults else "pass",
            "reason": "; ".join(faults),
        }

    def _judge_trial(self, trial: Trial) -> dict[str, Any]:
        bounds = BOUNDS[trial.metadata.precision]
        if trial.runner is None:
            return file_row(trial, {}, None, bounds, trial.fault)
        embeddings = np.concatenate(trial.parts)
        figures: dict[str, Any] = {}
        rule: Rule | None = None
        if embeddings.shape != self.reference.shape:
            faults = [f"embeddings are {embeddings.shape[1:]}, torch's {self.reference.shape[1:]}"]
        elif not (_finite(trial.parts) and _finite(trial.gallery_parts)):
            faults = ["some embeddings hold values that are no numbers"]
        else:
            comparison, finds, rule = self._compare(trial)
            figures, faults = comparison.to_dict(), judge(comparison, bounds)
            broken = _rule_faults(rule)
            if faults:
                faults += self._causes(trial)
            faults += broken
            cosines = _cosines(embeddings, self.reference)
            kind = "" if trial.metadata.input == "tensor" else f" {trial.metadata.input}"
            label = f"{trial.metadata.target} {trial.metadata.precision}{kind}, {trial.runtime}"
            self.drawn.append((label, cosines, finds))
        trial.verdict = "fail" if faults else "pass"
        return file_row(trial, figures, rule, bounds, "; ".join(faults) or trial.note)

    def _causes(self, trial: Trial) -> list[str]:
        """What explains a failing file, as clauses."""
        assert trial.runner is not None
        rows = np.linspace(0, len(self.task.queries) - 1, min(IMAGES, len(self.task.queries)))
        chosen = np.unique(rows.round().astype(np.int64))
        pixels = self.task.queries.pixels(self.query.preprocessing, chosen)
        fed = fits_when_fed(trial.runner, pixels, self.reference[chosen])
        if fed is not None:
            return [fed]
        if not isinstance(self.query, QueryBundle) or not trial.metadata.architecture:
            return []  # made elsewhere: its layers are not ours
        if not trial.runner.opens_layers:
            return []
        departure = first_departure(trial.runner, self.query, pixels)
        if departure is None:
            return []
        name, cosine = departure
        return [f"departs first at {name} (cosine of its worst channel {cosine:.4f})"]

    def _name_wrong_runtimes(self) -> None:
        """A file that is right in one runtime and wrong in another is refused for that one."""
        for row in self.rows:
            right = [
                other["runtime"]
                for other in self.rows
                if other["file"] == row["file"] and other["verdict"] == "pass"
            ]
            if row["verdict"] == "fail" and right:
                row["reason"] += (
                    f"; {', '.join(right)} computes it rightly: {row['precision']} is not for "
                    f"{row['runtime']}"
                )


def _bounds_of(stage: str) -> Any:
    """The bounds of a stage: those of the precision that it quantises to."""
    return BOUNDS.get(stage.removeprefix("quantise "), BOUNDS["fp32"])


def _rule_faults(rule: Rule) -> list[str]:
    if rule.verdict != "broken":
        return []
    return [
        f"the compatibility rule is broken: M(q,g) {rule.mqg_top10:.2f} < M(q,q) "
        f"{rule.mqq_top10:.2f} at top-10 (difference {rule.low:+.2f} to {rule.high:+.2f})"
    ]


def _finite(parts: Sequence[NDArray[np.float32]]) -> bool:
    return all(bool(np.isfinite(part).all()) for part in parts)


def _cosines(mine: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float64]:
    """(Q,) cosines of two sets of embeddings (Q, D)."""
    a, b = mine.astype(np.float64), theirs.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines: NDArray[np.float64] = (a * b).sum(1) / np.where(lengths > 0, lengths, 1)
    return cosines
