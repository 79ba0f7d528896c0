"""Ranks a search again: the history has every reward and metric, so nothing is evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgecmp.errors import UserError, unknown_choice
from edgecmp.files import read_json, write_json
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import DEPTH
from edgecmp.report import Report
from edgecmp.search.evaluation.candidate import Candidate
from edgecmp.search.evaluation.rewards import reward as reward_named
from edgecmp.search.evaluation.rewards import rewards
from edgecmp.search.results.history import NETWORK_FIELDS, read_history
from edgecmp.search.space.constraint import parse_budget
from edgecmp.search.strategies.base import best_first

__all__ = ["Ranking", "rerank"]

HISTORY, RESULT = "history.jsonl", "result.json"


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Ranking(Report):
    """The best candidates of a search by another reward.

    Attributes:
        rows: best first: "rank", "before" (its rank by the search's own reward and metric),
            "generation", "flops" (those that the budget bounds), "mqq" and "mqg" in percent, and
            every reward.
        architectures: of the rows.
        reward: that they are ranked by.
        metric: that the rewards are computed from.
        candidates: number of candidates ranked.
        files: the files written, one per architecture and the ranking itself; empty without `out`.
    """

    rows: list[dict[str, Any]]
    architectures: list[Architecture]
    reward: str
    metric: str
    candidates: int
    files: dict[str, Path]

    def written(self) -> dict[str, Path]:
        """What was written, and where."""
        return {f"the {what}": where for what, where in self.files.items()}

    def to_dict(self) -> dict[str, Any]:
        """The document that `edgecmp rank --json` and ranking.json contain."""
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
        reward: a name in `REWARDS`; the search's own if None.
        metric: accuracy that the reward is computed from, one that the search measured; the
            search's own if None.
        budget: ranks only candidates within this budget, with FLOPs as the search counts them.
        top: number of rows.
        out: folder for architecture.json, architecture-2.json, ... and ranking.json; nothing is
            written if None.

    Raises:
        UserError: there is no history, it was changed, or an argument is invalid.
    """
    path = Path(search)
    path = path / HISTORY if path.is_dir() else path
    header, candidates = read_history(path)
    own_reward, own_metric = str(header["search"]["reward"]), str(header["search"]["metric"])
    reward, metric = reward or own_reward, metric or own_metric
    _check(path, candidates, reward=reward, metric=metric, top=top)
    original = best_first(candidates, own_reward)
    rank_before = {candidate.genes: rank for rank, candidate in enumerate(original, start=1)}
    admitted = _within_budget(path, candidates, budget)
    ranked = best_first([replace(one, metric=metric) for one in admitted], reward)[:top]
    network = _network_fields(header, path)
    ranking = Ranking(
        rows=[
            _row(candidate, rank, rank_before[candidate.genes])
            for rank, candidate in enumerate(ranked, start=1)
        ],
        architectures=[_architecture(candidate, network) for candidate in ranked],
        reward=reward,
        metric=metric,
        candidates=len(admitted),
        files=_files(Path(out), len(ranked)) if out else {},
    )
    if out:
        _write(ranking)
    return ranking


def _check(
    path: Path, candidates: Sequence[Candidate], *, reward: str, metric: str, top: int
) -> None:
    """Refuses what the candidates of a history cannot be ranked by."""
    reward_named(reward)
    if top < 1:
        raise UserError(f"--top must be at least 1 (got {top}).", "Give --top 1 or more.")
    if not candidates:
        raise UserError(
            f"{path} contains no candidates yet.", "Wait until the search has evaluated some."
        )
    measured = sorted(candidates[0].measurement.mqq)
    if metric not in measured:
        raise unknown_choice("metric", metric, measured)


def _within_budget(
    path: Path, candidates: Sequence[Candidate], budget: str | None
) -> Sequence[Candidate]:
    """The candidates with at most that many FLOPs; all of them without a budget."""
    if not budget:
        return candidates
    most = parse_budget(budget)
    admitted = [candidate for candidate in candidates if candidate.flops <= most]
    if not admitted:
        fewest = min(candidate.flops for candidate in candidates)
        raise UserError(
            f"No candidate of {path} has at most {budget} FLOPs: the smallest has {fewest:,}.",
            f"Use --budget {fewest} or more.",
        )
    return admitted


def _write(ranking: Ranking) -> None:
    """Writes the files of a ranking."""
    for architecture, file in zip(ranking.architectures, ranking.files.values(), strict=False):
        architecture.save(file)
    write_json(ranking.files["ranking"], ranking.to_dict())


def _files(out: Path, count: int) -> dict[str, Path]:
    """Path of each architecture, best first, and of the ranking, by description."""
    names = ["architecture.json", *(f"architecture-{rank}.json" for rank in range(2, count + 1))]
    files = {f"architecture of rank {rank}": out / name for rank, name in enumerate(names, start=1)}
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


def _architecture(candidate: Candidate, network: Mapping[str, Any]) -> Architecture:
    return Architecture(
        tier=network["tier"],
        blocks=candidate.genes[:DEPTH],
        widths=candidate.genes[DEPTH : 2 * DEPTH],
        embedding_dim=network["embedding_dim"],
        input_size=candidate.input_size or network["input_size"],
    )


def _network_fields(header: Mapping[str, Any], history: Path) -> Mapping[str, Any]:
    """Tier, embedding and input size, which early versions recorded in the result alone."""
    fields = header.get("shape") or {}
    if not fields and history.with_name(RESULT).exists():
        document = read_json(history.with_name(RESULT), what="the result of a search")
        fields = document.get("architecture", {})
    if not all(name in fields for name in NETWORK_FIELDS):
        raise UserError(
            f"{history} was written by an earlier version of edgecmp and lacks tier, embedding "
            "size and input size.",
            "Rerun the command of its search to the end first.",
        )
    return fields
