"""SearchResult: what a search gives back, prints and writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecmp.networks.architecture import Architecture
from edgecmp.search.space.constraint import budget_text

__all__ = ["SearchResult"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchResult:
    """The winner, its runners-up, the front, and what it took.

    Attributes:
        architecture: the winner.
        winner: its rank by reward; above 1 only if those before it missed the latency bound when
            they were measured.
        rows: the best architectures, best first, five or as many as were measured: "rank",
            "generation", "flops_224" (fvcore's count), "macs_224" and "macs_deployed" (batch norm
            folded), "mqq" and "mqg" in percent, the reward; with a latency bound also "latency_ms"
            (by the table), "measured_ms" and "holds" (None where it was not measured); where the
            input size is a gene "input_size" and "flops_counted", which the budget bounds.
        tighter: the best under each smaller budget of the same run: "budget", "rank" among all, the
            figures of a row, and the "architecture".
        strategy: "evolution", "predictor" or "pareto".
        front: the architectures that no other beats in reward, FLOPs and, with a bound on it,
            latency: "rank", those figures, and the "architecture" as its file holds it.
        bound: what the history's header keeps: "flops" at "input_size", and with a latency bound
            "latency_ms" and the SHA-256 of the "table".
        device: that the table is of; None without one.
        share: share of the tier's space that holds all bounds, 0..1.
        share_flops: share that meets the FLOPs budget.
        verified: whether the winner's measured latency holds the bound; None if it was not
            measured, or if there is none.
        reward: name of the reward.
        metric: accuracy that the reward is made of.
        seed: of the evolution.
        evaluations: architectures evaluated in all.
        new_evaluations: by this run; the others stood in the history.
        exhausted: the space under the bounds held no more architectures.
        seconds: wall time of this run.
        seconds_each: median time of one evaluation; None if this run had none.
        out: the folder it wrote.
    """

    architecture: Architecture
    winner: int
    rows: list[dict[str, Any]]
    tighter: list[dict[str, Any]]
    strategy: str
    front: list[dict[str, Any]]
    bound: dict[str, Any]
    device: str | None
    share: float
    share_flops: float
    verified: bool | None
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
        files = {
            "winner": self.out / "architecture.json",
            "history": self.out / "history.jsonl",
            "picture": self.out / "search.png",
            "result": self.out / "result.json",
        }
        for row in self.tighter:
            name = budget_text(row["budget"])
            files[f"best under {name}"] = self.out / f"architecture-{name}.json"
        front = self.device or self.strategy == "pareto"
        return files | ({"front": self.out / "pareto.png"} if front else {})

    def to_dict(self) -> dict[str, Any]:
        """What `edgecmp search --json` and result.json hold."""
        return {
            "rows": self.rows,
            "architecture": self.architecture.to_dict(),
            "winner": self.winner,
            "strategy": self.strategy,
            "budget": self.bound["flops"],
            "latency_ms": self.bound.get("latency_ms"),
            "table": self.bound.get("table"),
            "device": self.device,
            "share": self.share,
            "share_flops": self.share_flops,
            "verified": self.verified,
            "reward": self.reward,
            "metric": self.metric,
            "seed": self.seed,
            "evaluations": self.evaluations,
            "new_evaluations": self.new_evaluations,
            "exhausted": self.exhausted,
            "seconds": round(self.seconds, 3),
            "seconds_each": None if self.seconds_each is None else round(self.seconds_each, 4),
            "files": {name: str(path) for name, path in self.files.items()},
            "tighter": self.tighter,
            "front": self.front,
        }
