"""From what a search found to its result: the rows of the best, and the front of all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.search.evaluation.candidate import Candidate, Evaluator
from edgecmp.search.loop import SearchOutcome, SearchSettings
from edgecmp.search.results.result import SearchResult
from edgecmp.search.results.verify import Verification
from edgecmp.search.space.flops import FlopsTable
from edgecmp.search.space.space import Space
from edgecmp.search.strategies.pareto import pareto_front

__all__ = ["latencies", "summarised"]

TOP = 5
"""Rows of the result: the supplement's Figure 1 averages the best five."""


def latencies(candidates: Sequence[Candidate], bound: Space) -> NDArray[np.float64] | None:
    """(N,) latencies in ms by the bound's table; None if it has none."""
    return bound.latencies(np.array([candidate.genes for candidate in candidates], np.uint8))


def summarised(
    outcome: SearchOutcome,
    evaluator: Evaluator,
    bound: Space,
    settings: SearchSettings,
    verification: Verification,
    *,
    tighter: Sequence[Space],
    out: Path,
) -> SearchResult:
    """The result of a search, with what measuring its best found."""
    ranked, reward = outcome.ranked, settings.reward
    predicted = latencies(ranked, bound)
    rows = []
    for place in range(min(len(ranked), max(TOP, len(verification.measured_ms)))):
        row = _row(ranked[place], evaluator, bound.table, reward)
        if predicted is not None:
            row |= _latency(place, predicted, verification, bound)
        rows.append({"rank": place + 1, **row})
    return SearchResult(
        architecture=ranked[verification.winner].architecture(evaluator),
        winner=verification.winner + 1,
        rows=rows,
        tighter=[_tighter(space, outcome.ranked, evaluator, reward) for space in tighter],
        strategy=settings.name,
        front=_front(ranked, predicted, evaluator, bound.table, reward),
        bound=bound.to_dict(),
        device=bound.latency.device if bound.latency else None,
        share=bound.share,
        share_flops=bound.share_flops,
        verified=verification.holds,
        reward=reward,
        metric=settings.metric,
        seed=settings.seed,
        evaluations=len(ranked),
        new_evaluations=outcome.new,
        exhausted=outcome.exhausted,
        seconds=outcome.seconds,
        seconds_each=outcome.seconds_each,
        out=out,
    )


def _tighter(
    space: Space, ranked: Sequence[Candidate], evaluator: Evaluator, reward: str
) -> dict[str, Any]:
    """The best under a smaller budget; by the table alone where latency is bounded."""
    rows = np.array([candidate.genes for candidate in ranked], np.uint8)
    place = int(space.holds(rows).argmax())
    return {
        "budget": space.budget,
        "rank": place + 1,
        **_row(ranked[place], evaluator, space.table, reward),
        "architecture": ranked[place].architecture(evaluator).to_dict(),
    }


def _row(
    candidate: Candidate, evaluator: Evaluator, table: FlopsTable, reward: str
) -> dict[str, Any]:
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
    """Where the input size is a gene: it, and the FLOPs that the budget bounds."""
    if candidate.input_size is None:
        return {}
    return {"input_size": candidate.input_size, "flops_counted": candidate.flops}


def _accuracies(candidate: Candidate, reward: str) -> dict[str, float]:
    return {
        "mqq": round(100 * candidate.mqq, 2),
        "mqg": round(100 * candidate.mqg, 2),
        reward: round(candidate.reward(reward), 6),
    }


def _latency(
    place: int, predicted: NDArray[np.float64], verification: Verification, bound: Space
) -> dict[str, Any]:
    known = verification.measured_ms[place : place + 1]
    return {
        "latency_ms": round(float(predicted[place]), 6),
        "measured_ms": round(known[0], 6) if known else None,
        "holds": known[0] <= (bound.latency_ms or 0.0) if known else None,
    }


def _front(
    ranked: Sequence[Candidate],
    predicted: NDArray[np.float64] | None,
    evaluator: Evaluator,
    table: FlopsTable,
    reward: str,
) -> list[dict[str, Any]]:
    """All candidates that no other beats in everything, best reward first."""
    costs = [
        np.array([-candidate.reward(reward) for candidate in ranked]),
        np.array([float(candidate.flops) for candidate in ranked]),
    ]
    if predicted is not None:
        costs.append(predicted)
    return [
        {
            "rank": place + 1,
            **_size(ranked[place]),
            "flops_224": table.count(ranked[place].architecture(evaluator)),
            **({} if predicted is None else {"latency_ms": round(float(predicted[place]), 6)}),
            **_accuracies(ranked[place], reward),
            "architecture": ranked[place].architecture(evaluator).to_dict(),
        }
        for place in pareto_front(np.stack(costs, 1)).tolist()
    ]
