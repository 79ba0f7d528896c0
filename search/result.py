"""SearchResult: what a search gives back, prints and writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecmp.architecture import Architecture

__all__ = ["SearchResult"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchResult:
    """The winner, its runners-up and what it took.

    Attributes:
        architecture: the winner.
        rows: the best five architectures, best first: "rank", "generation", "flops_224" (fvcore's
            count), "macs_224" and "macs_deployed" (batch norm folded), "mqq" and "mqg" in percent,
            the reward.
        budget: FLOPs at 224 x 224.
        share: share of the tier's space that meets the budget, 0..1.
        reward: name of the reward.
        metric: accuracy that the reward is made of.
        seed: of the evolution.
        evaluations: architectures evaluated in all.
        new_evaluations: by this run; the others stood in the history.
        exhausted: the space under the budget held no more architectures.
        seconds: wall time of this run.
        seconds_each: median time of one evaluation; None if this run had none.
        out: the folder it wrote.
    """

    architecture: Architecture
    rows: list[dict[str, Any]]
    budget: int
    share: float
    reward: str
    metric: str
    seed: int
    evaluations: int
    new_evaluations: int
    exhausted: bool
    seconds: float
    seconds_each: float | None
    out: Path

    @property
    def files(self) -> dict[str, Path]:
        """What was written, by what it is."""
        return {
            "winner": self.out / "architecture.json",
            "history": self.out / "history.jsonl",
            "picture": self.out / "search.png",
            "result": self.out / "result.json",
        }

    def to_dict(self) -> dict[str, Any]:
        """What `edgecmp search --json` and result.json hold."""
        return {
            "rows": self.rows,
            "architecture": self.architecture.to_dict(),
            "budget": self.budget,
            "share": self.share,
            "reward": self.reward,
            "metric": self.metric,
            "seed": self.seed,
            "evaluations": self.evaluations,
            "new_evaluations": self.new_evaluations,
            "exhausted": self.exhausted,
            "seconds": round(self.seconds, 3),
            "seconds_each": None if self.seconds_each is None else round(self.seconds_each, 4),
            "files": {name: str(path) for name, path in self.files.items()},
        }
