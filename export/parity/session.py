"""One comparison of the trained network with its stages and files, on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.data import ImageSet, Retrieval
from edgecmp.export.parity.case import ParityCase
from edgecmp.export.parity.compatibility import Rule, check_rule, rule_faults
from edgecmp.export.parity.cosines import row_cosines
from edgecmp.export.parity.diagnosis import IMAGES, compare_layers, input_mistake
from edgecmp.export.parity.report import file_row, plain, rule_columns
from edgecmp.export.parity.retrieval import Floats, RetrievalResult, retrieve
from edgecmp.export.parity.stages import QUANTISE, Stage, stages
from edgecmp.export.parity.verdict import BOUNDS, Bounds, Comparison, compare, judge
from edgecmp.export.runtimes.runner import Runner
from edgecmp.gallery.index import GalleryIndex
from edgecmp.metrics.bootstrap import resamples
from edgecmp.networks.embed import Embedder
from edgecmp.progress import duration, progress, say

__all__ = ["ParitySession"]

BATCH = 128
"""Images in memory at a time."""


class _Embeds(Protocol):
    """The trained network, a stage or a case."""

    def embed(self, pixels: NDArray[np.uint8], /) -> Floats | None:
        """Embeds prepared images (n, S, S, 3): (n, D); None if it cannot be run."""


@dataclass(kw_only=True, slots=True)
class _Embedded:
    """The embeddings that one network, stage or case computed.

    Attributes:
        source: the network, stage or case.
        queries: (n, D) for each batch of queries.
        gallery: (n, D) for each batch of gallery images.
    """

    source: _Embeds
    queries: list[Floats] = field(default_factory=list)
    gallery: list[Floats] = field(default_factory=list)

    @property
    def finite(self) -> bool:
        """Whether all values are finite."""
        return all(bool(np.isfinite(batch).all()) for batch in (*self.queries, *self.gallery))


class ParitySession:
    """The trained network, its stages and its files.

    Args:
        query: the trained network.
        gallery: the server's index.
        task: queries and gallery images.
        cases: the files in their runtimes.
        sample: the task has only some of its queries; see `judge`.
        seed: of the bootstrap.

    Attributes:
        result: the retrieval result of the trained network.
        stage_rows: see `ParityReport.stages`.
        rows: see `ParityReport.rows`.
        drawn: for the picture: label, cosines (Q,) with torch's embeddings, and retrieval result of
            each case that was run.
    """

    def __init__(
        self,
        query: Embedder,
        gallery: GalleryIndex,
        task: Retrieval,
        cases: Sequence[ParityCase],
        *,
        sample: bool,
        seed: int,
    ) -> None:
        self._query = query
        self._gallery = gallery
        self._task = task
        files = [case.metadata for case in cases]
        self._stages = stages(query, files) if isinstance(query, QueryBundle) else []
        self._cases = cases
        self._sample = sample
        self._weights = resamples(len(task.queries), seed=seed)
        self.drawn: list[tuple[str, NDArray[np.float64], RetrievalResult]] = []

    def run(self) -> None:
        """Embeds all images with everything, then judges every stage and every file."""
        self._say_duration()
        sources: list[_Embeds] = [self._query, *self._stages, *self._cases]
        everything = [_Embedded(source=source) for source in sources]
        queries, gallery = self._task.queries, self._task.gallery
        self._embed("Parity", queries, [(e.source, e.queries) for e in everything])
        self._embed("Parity, gallery", gallery, [(e.source, e.gallery) for e in everything])
        network, *others = everything
        self._reference = np.concatenate(network.queries)
        self.result = self._retrieve(self._reference)
        self._trained = self._rule(self._reference, self.result, network)
        self.stage_rows = [_stage_row("train", None, self._trained, [])]
        count = len(self._stages)
        for stage, embedded in zip(self._stages, others[:count], strict=True):
            self.stage_rows.append(self._judge_stage(stage, embedded))
        self.rows = [
            self._judge_case(case, embedded)
            for case, embedded in zip(self._cases, others[count:], strict=True)
        ]
        _name_wrong_runtimes(self.rows)

    def _say_duration(self) -> None:
        shape = self._query.preprocessing.shape
        count = len(self._task.queries) + len(self._task.gallery)
        seconds = sum(case.measure(shape) for case in self._cases)
        running = sum(case.runner is not None for case in self._cases)
        say(
            f"Embedding {count:,} images with the trained network, {len(self._stages)} later "
            f"stages and {running} combinations of file and runtime: about "
            f"{duration(count * seconds)} for the files."
        )

    def _embed(
        self, title: str, images: ImageSet, outputs: Sequence[tuple[_Embeds, list[Floats]]]
    ) -> None:
        """Embeds images with each source, and appends the batches to its list."""
        with progress(title, total=len(images), unit="image") as bar:
            for start in range(0, len(images), BATCH):
                rows = np.arange(start, min(start + BATCH, len(images)))
                pixels = images.pixels(self._query.preprocessing, rows)
                for source, batches in outputs:
                    embeddings = source.embed(pixels)
                    if embeddings is not None:
                        batches.append(embeddings)
                bar.advance(len(rows))

    def _retrieve(self, queries: Floats, gallery: Floats | None = None) -> RetrievalResult:
        """The queries in the server's gallery, or in other embeddings of the same images."""
        return retrieve(
            queries,
            self._task.queries.identities,
            self._gallery.embeddings if gallery is None else gallery,
            self._task.gallery.identities,
            cameras=self._task.cameras,
        )

    def _rule(self, queries: Floats, result: RetrievalResult, embedded: _Embedded) -> Rule:
        """The compatibility rule for embedded queries and their result in the server's gallery."""
        own = self._retrieve(queries, np.concatenate(embedded.gallery))
        return check_rule(result, own, self._weights)

    def _compare(self, embedded: _Embedded) -> tuple[Comparison, RetrievalResult, Rule]:
        """Finite embeddings against the trained network's."""
        embeddings = np.concatenate(embedded.queries)
        result = self._retrieve(embeddings)
        comparison = compare(
            embeddings,
            self._reference,
            result,
            self.result,
            self._task.queries.identities,
            weights=self._weights,
        )
        return comparison, result, self._rule(embeddings, result, embedded)

    def _judge_stage(self, stage: Stage, embedded: _Embedded) -> dict[str, Any]:
        comparison, _, rule = self._compare(embedded)
        bounds = BOUNDS.get(stage.name.removeprefix(QUANTISE), BOUNDS["fp32"])
        faults = judge(comparison, bounds, sample=self._sample) + rule_faults(rule, self._trained)
        return _stage_row(stage.name, comparison, rule, faults)

    def _judge_case(self, case: ParityCase, embedded: _Embedded) -> dict[str, Any]:
        bounds = BOUNDS[case.metadata.precision]
        if case.runner is None:
            return file_row(case, {}, None, bounds, case.fault)
        figures: dict[str, Any] = {}
        rule: Rule | None = None
        embeddings = np.concatenate(embedded.queries)
        expected = self._reference
        if embeddings.shape != expected.shape:
            faults = [f"embeddings are {embeddings.shape[1:]}, torch's {expected.shape[1:]}"]
        elif not embedded.finite:
            faults = ["some embeddings contain values that are not finite"]
        else:
            comparison, result, rule = self._compare(embedded)
            figures = comparison.to_dict()
            faults = self._faults(case, case.runner, comparison, bounds)
            faults += rule_faults(rule, self._trained)
            self.drawn.append((case.label, row_cosines(embeddings, expected), result))
        case.verdict = "fail" if faults else "pass"
        return file_row(case, figures, rule, bounds, "; ".join(faults) or case.note)

    def _faults(
        self, case: ParityCase, runner: Runner, comparison: Comparison, bounds: Bounds
    ) -> list[str]:
        """The bounds that a file fails and, if there are any, the cause, as clauses."""
        faults = judge(comparison, bounds, sample=self._sample)
        return faults + self._causes(case, runner) if faults else []

    def _causes(self, case: ParityCase, runner: Runner) -> list[str]:
        """The cause of a file's failure, as clauses; empty if it is unknown."""
        queries = self._task.queries
        rows = np.linspace(0, len(queries) - 1, min(IMAGES, len(queries)))
        chosen = np.unique(rows.round().astype(np.int64))
        pixels = queries.pixels(self._query.preprocessing, chosen)
        mistake = input_mistake(runner, pixels, self._reference[chosen])
        if mistake is not None:
            return [mistake]
        if not isinstance(self._query, QueryBundle) or not case.metadata.architecture:
            return []  # not exported by edgecmp, so it has other layers
        if not runner.exposes_layers:
            return []
        layers = compare_layers(runner, self._query, pixels)
        return [] if layers is None else [layers.cause()]


def _stage_row(
    name: str, comparison: Comparison | None, rule: Rule, faults: Sequence[str]
) -> dict[str, Any]:
    """One row of the stages; the trained network itself has no comparison and no faults."""
    figures = {} if comparison is None else comparison.to_dict()
    return {
        "stage": name,
        "min_cosine": plain(figures.get("min_cosine")),
        "delta_top10": plain(figures.get("delta_top10")),
        **rule_columns(rule),
        "verdict": "fail" if faults else "pass",
        "reason": "; ".join(faults),
    }


def _name_wrong_runtimes(rows: Sequence[dict[str, Any]]) -> None:
    """Adds to the reason of a failed file that other runtimes compute it correctly."""
    for row in rows:
        correct = [
            other["runtime"]
            for other in rows
            if other["file"] == row["file"] and other["verdict"] == "pass"
        ]
        if row["verdict"] == "fail" and correct:
            row["reason"] += (
                f"; {', '.join(correct)} computes it correctly: {row['precision']} is not for "
                f"{row['runtime']}"
            )
