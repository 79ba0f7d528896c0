"""Summarises a search: rows of the best candidates, and the Pareto front of all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp import kit
from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.search.evaluation.candidate import Candidate, Evaluator
from edgecmp.search.loop import SearchOutcome
from edgecmp.search.results.pareto_front import pareto_front
from edgecmp.search.results.result import SearchResult
from edgecmp.search.results.verify import Verification
from edgecmp.search.settings import SearchSettings
from edgecmp.search.space.flops import FlopsTable
from edgecmp.search.space.space import Space

__all__ = ["FinishedSearch", "summarised"]

TOP = 5
"""Rows of the result: the supplement's Figure 1 averages the best five."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedSearch:
    """A search whose result is to be written.

    Attributes:
        outcome: of the search.
        evaluator: that measured the candidates.
        space: that all candidates are in.
        settings: of the search.
        smaller: spaces of smaller budgets, searched too.
        out: the folder that the files are written to.
        supernet: whose weights the candidates had; None for another evaluator.
    """

    outcome: SearchOutcome
    evaluator: Evaluator
    space: Space
    settings: SearchSettings
    smaller: Sequence[Space]
    out: Path
    supernet: SupernetBundle | None = None

    @property
    def predicted_ms(self) -> NDArray[np.float64] | None:
        """(N,) latencies of the ranked candidates by the latency table; None without one."""
        rows = np.array([candidate.genes for candidate in self.outcome.ranked], np.uint8)
        return self.space.latencies(rows)

    @property
    def queries_note(self) -> str:
        """What belongs to all figures of the hold-out; empty for many photographed queries."""
        return str(self.evaluator.to_dict().get("queries_note", ""))


def summarised(search: FinishedSearch, verification: Verification) -> SearchResult:
    """The result of a search and of the measurements on the device."""
    ranked, reward = search.outcome.ranked, search.settings.reward
    evaluator, space = search.evaluator, search.space
    predicted = search.predicted_ms
    rows = []
    for index in range(min(len(ranked), max(TOP, len(verification.measured_ms)))):
        row = _row(ranked[index], evaluator, space.table, reward)
        if predicted is not None:
            row |= _latency(index, predicted, verification, space)
        rows.append({"rank": index + 1, **row})
    return SearchResult(
        architecture=ranked[verification.winner].architecture(evaluator),
        winner=verification.winner + 1,
        rows=rows,
        smaller=[_best_within(one, ranked, evaluator, reward) for one in search.smaller],
        strategy=search.settings.strategy.name,
        front=_front(ranked, predicted, evaluator, space.table, reward),
        bound=space.to_dict(),
        device=space.latency.device if space.latency else None,
        share=space.share,
        share_flops=space.share_flops,
        verified=verification.satisfied,
        reward=reward,
        metric=search.settings.metric,
        seed=search.settings.seed,
        evaluations=len(ranked),
        new_evaluations=search.outcome.new,
        exhausted=search.outcome.exhausted,
        seconds=search.outcome.seconds,
        seconds_each=search.outcome.seconds_each,
        out=search.out,
        queries_note=search.queries_note,
        supernet=None if search.supernet is None else _recorded(search.supernet, search.out),
    )


def _recorded(supernet: SupernetBundle, out: Path) -> dict[str, str]:
    """Where a supernet is, seen from the search's folder, so that both can be moved together."""
    assert supernet.folder is not None
    folder, shipped = supernet.folder.resolve(), kit.path("supernet").resolve()
    path = "kit" if folder == shipped else Path(os.path.relpath(folder, out.resolve())).as_posix()
    return {"path": path, "sha256": supernet.sha256}


def _best_within(
    space: Space, ranked: Sequence[Candidate], evaluator: Evaluator, reward: str
) -> dict[str, Any]:
    """The best candidate of a smaller budget's space, with latencies by the table alone."""
    rows = np.array([candidate.genes for candidate in ranked], np.uint8)
    index = int(space.contains(rows).argmax())
    return {
        "budget": space.budget,
        "rank": index + 1,
        **_row(ranked[index], evaluator, space.table, reward),
        "architecture": ranked[index].architecture(evaluator).to_dict(),
    }


def _row(
    candidate: Candidate, evaluator: Evaluator, table: FlopsTable, reward: str
) -> dict[str, Any]:
    """Generation, cost and accuracies of a candidate."""
    architecture = candidate.architecture(evaluator)
    deployed = FlopsTable.of(table.tier, architecture.input_size, architecture.embedding_dim)
    return {
        "generation": candidate.generation,
        **_size(candidate),
        "flops_224": table.count(architecture),
        "macs_224": table.macs(architecture),
        "macs_deployed": deployed.macs(architecture),
        **_accuracies(candidate, reward),
    }


def _size(candidate: Candidate) -> dict[str, int]:
    """The input size and the FLOPs that the budget bounds, where the size is a gene."""
    if candidate.input_size is None:
        return {}
    return {"input_size": candidate.input_size, "flops_counted": candidate.flops}


def _accuracies(candidate: Candidate, reward: str) -> dict[str, float]:
    """Accuracies in percent, and the reward."""
    return {
        "mqq": round(100 * candidate.mqq, 2),
        "mqg": round(100 * candidate.mqg, 2),
        reward: round(candidate.reward(reward), 6),
    }


def _latency(
    index: int, predicted: NDArray[np.float64], verification: Verification, space: Space
) -> dict[str, Any]:
    """Latency by the table, and if it was measured also that on the device."""
    measured = verification.measured_ms[index : index + 1]
    return {
        "latency_ms": round(float(predicted[index]), 6),
        "measured_ms": round(measured[0], 6) if measured else None,
        "holds": measured[0] <= (space.latency_ms or 0.0) if measured else None,
    }


def _front(
    ranked: Sequence[Candidate],
    predicted: NDArray[np.float64] | None,
    evaluator: Evaluator,
    table: FlopsTable,
    reward: str,
) -> list[dict[str, Any]]:
    """All candidates that no other dominates, best reward first."""
    costs = [
        np.array([-candidate.reward(reward) for candidate in ranked]),
        np.array([float(candidate.flops) for candidate in ranked]),
    ]
    if predicted is not None:
        costs.append(predicted)
    return [
        {
            "rank": index + 1,
            **_size(ranked[index]),
            "flops_224": table.count(ranked[index].architecture(evaluator)),
            **({} if predicted is None else {"latency_ms": round(float(predicted[index]), 6)}),
            **_accuracies(ranked[index], reward),
            "architecture": ranked[index].architecture(evaluator).to_dict(),
        }
        for index in pareto_front(np.stack(costs, 1)).tolist()
    ]
