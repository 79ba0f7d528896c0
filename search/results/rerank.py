"""A search ranked another way: its history has every reward and metric, so none is evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgecmp.errors import UserError, unknown_choice
from edgecmp.files import read_json, write_json
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import DEPTH
from edgecmp.search.evaluation.candidate import Candidate
from edgecmp.search.evaluation.rewards import reward as reward_named
from edgecmp.search.evaluation.rewards import rewards
from edgecmp.search.results.history import SHAPE, read_history
from edgecmp.search.space.constraint import parse_budget
from edgecmp.search.strategies.base import best_first

__all__ = ["Ranking", "rerank"]

HISTORY, RESULT = "history.jsonl", "result.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranking:
    """The best of a search by another reward.

    Attributes:
        rows: best first: "rank", "before" (its rank by the search's own reward and metric),
            "generation", "flops" (those that the budget bounds), "mqq" and "mqg" in percent, and
            every reward.
        architectures: of the rows.
        reward: that they are ranked by.
        metric: that the rewards are made of.
        candidates: how many were ranked.
        files: what was written, one an architecture and the ranking itself; empty without `out`.
    """

    rows: list[dict[str, Any]]
    architectures: list[Architecture]
    reward: str
    metric: str
    candidates: int
    files: dict[str, Path]

    def to_dict(self) -> dict[str, Any]:
        """What `edgecmp rank --json` and ranking.json hold."""
        return {
            "rows": [
                {**row, "architecture": architecture.to_dict()}
                for row, architecture in zip(self.rows, self.architectures, strict=True)
            ],
            "reward": self.reward,
            "metric": self.metric,
            "candidates": self.candidates,
            "files": {name: str(path) for name, path in self.files.items()},
        }


def rerank(
    search: str | Path,
    *,
    reward: str | None = None,
    metric: str | None = None,
    budget: str | None = None,
    top: int = 5,
    out: str | Path | None = None,
) -> Ranking:
    """Ranks the candidates of a search, finished or not, without evaluating any again.

    Args:
        search: folder of the search, or its history.jsonl.
        reward: "r1", "r2", "r3" or "r3sum"; the search's own if None.
        metric: accuracy that the reward is made of, one that the search measured; its own if None.
        budget: ranks only what the search's FLOPs bound would admit at this budget.
        top: how many rows.
        out: folder for architecture.json, architecture-2.json, ... and ranking.json; nothing is
            written if None.

    Raises:
        UserError: there is no history, it was changed, or an argument is unknown.
    """
    path = Path(search)
    path = path / HISTORY if path.is_dir() else path
    header, found = read_history(path)
    kept = header["search"]
    own, own_metric = str(kept["reward"]), str(kept["metric"])
    reward, metric = reward or own, metric or own_metric
    reward_named(reward)
    if top < 1:
        raise UserError(f"The best {top} cannot be shown.", "Use --top 1 or more.")
    if not found:
        raise UserError(f"{path} holds no candidate yet.", "Let the search evaluate some first.")
    known = sorted(found[0].measurement.mqq)
    if metric not in known:
        raise unknown_choice("metric", metric, known)
    before = {one.genes: place for place, one in enumerate(best_first(found, own), start=1)}
    ceiling = parse_budget(budget) if budget else None
    within = [one for one in found if ceiling is None or one.flops <= ceiling]
    if not within:
        fewest = min(one.flops for one in found)
        raise UserError(
            f"No candidate of {path} has at most {budget} FLOPs: the smallest has {fewest:,}.",
            f"Use --budget {fewest} or more.",
        )
    ranked = best_first([replace(one, metric=metric) for one in within], reward)[:top]
    shape = _shape(header, path)
    architectures = [_architecture(one, shape) for one in ranked]
    ranking = Ranking(
        rows=[_row(one, place, before[one.genes]) for place, one in enumerate(ranked, start=1)],
        architectures=architectures,
        reward=reward,
        metric=metric,
        candidates=len(within),
        files=_files(Path(out), len(ranked)) if out else {},
    )
    if out:
        for architecture, file in zip(architectures, ranking.files.values(), strict=False):
            architecture.save(file)
        write_json(ranking.files["ranking"], ranking.to_dict())
    return ranking


def _files(out: Path, count: int) -> dict[str, Path]:
    names = ["architecture.json", *(f"architecture-{place}.json" for place in range(2, count + 1))]
    files = {
        f"architecture of rank {place}": out / name for place, name in enumerate(names, start=1)
    }
    return files | {"ranking": out / "ranking.json"}


def _row(candidate: Candidate, rank: int, before: int) -> dict[str, Any]:
    size = {} if candidate.input_size is None else {"input_size": candidate.input_size}
    values = rewards(candidate.mqq, candidate.mqg)
    return {
        "rank": rank,
        "before": before,
        "generation": candidate.generation,
        **size,
        "flops": candidate.flops,
        "mqq": round(100 * candidate.mqq, 2),
        "mqg": round(100 * candidate.mqg, 2),
        **{name: round(value, 6) for name, value in values.items()},
    }


def _architecture(candidate: Candidate, shape: Mapping[str, Any]) -> Architecture:
    return Architecture(
        tier=shape["tier"],
        blocks=candidate.genes[:DEPTH],
        widths=candidate.genes[DEPTH : 2 * DEPTH],
        embedding_dim=shape["embedding_dim"],
        input_size=candidate.input_size or shape["input_size"],
    )


def _shape(header: Mapping[str, Any], history: Path) -> Mapping[str, Any]:
    """Tier, embedding and input size; earlier versions wrote them into the result alone."""
    shape = header.get("shape") or {}
    if not shape and history.with_name(RESULT).exists():
        document = read_json(history.with_name(RESULT), what="the result of a search")
        shape = document.get("architecture", {})
    if not all(name in shape for name in SHAPE):
        raise UserError(
            f"{history} does not say what its genes are: an earlier version wrote it.",
            "Run its search to the end first, with the same command.",
        )
    return shape
