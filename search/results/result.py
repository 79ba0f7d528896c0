"""SearchResult: what a search returns, prints and writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecmp.networks.architecture import Architecture
from edgecmp.report import Report
from edgecmp.search.space.constraint import budget_text

__all__ = ["SearchResult"]


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class SearchResult(Report):
    """The winner, the runners-up, the Pareto front, and the cost of the search.

    Attributes:
        architecture: the winner.
        winner: its rank by reward; above 1 only if better candidates missed the latency bound when
            measured.
        rows: the best architectures, best first, five or as many as were measured: "rank",
            "generation", "flops_224" (fvcore's count), "macs_224" and "macs_deployed" (batch norm
            folded), "mqq" and "mqg" in percent, and the reward; with a latency bound also
            "latency_ms" (by the table), "measured_ms" and "holds", whether that meets the bound
            (None where it was not measured); where the input size is a gene also "input_size" and
            "flops_counted", which the budget bounds.
        smaller: the best architecture under each smaller budget of the same run: "budget", "rank"
            among all, the figures of a row, and the "architecture".
        strategy: name of the strategy.
        front: the architectures that no other dominates in reward, FLOPs and, with a latency bound,
            latency: "rank", those figures, and the "architecture" as in its file.
        bound: as in the history's header: "flops" at "input_size", and with a latency bound
            "latency_ms" and the SHA-256 of the "table".
        device: of the latency table; None without one.
        share: share of the tier's space that satisfies all bounds, 0..1.
        share_flops: share that satisfies the FLOPs budget, 0..1.
        verified: whether the winner's measured latency meets the bound; None if it was not
            measured or there is no bound.
        reward: name of the reward.
        metric: accuracy that the reward is computed from.
        seed: of the strategy.
        evaluations: architectures evaluated in all.
        new_evaluations: those evaluated by this run; the others were in the history.
        exhausted: the space under the bounds has no architectures that were not evaluated.
        seconds: wall time of this run.
        seconds_each: median time of an evaluation; None if this run had none.
        out: the folder with its files.
        supernet: "path" and "sha256" of the supernet whose weights the candidates had: the path is
            relative to `out`, or "kit" for the starter kit's; None for another evaluator.
        queries_note: what belongs to all accuracies: that the queries of the hold-out are altered
            copies, or few; empty for most data.
        drawn: whether the pictures were written.
    """

    architecture: Architecture
    winner: int
    rows: list[dict[str, Any]]
    smaller: list[dict[str, Any]]
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
    supernet: dict[str, str] | None = None
    queries_note: str = ""
    drawn: bool = True

    @property
    def files(self) -> dict[str, Path]:
        """The files written, by description."""
        files = {
            "winner": self.out / "architecture.json",
            "history": self.out / "history.jsonl",
            **({"picture": self.out / "search.png"} if self.drawn else {}),
            "result": self.out / "result.json",
        }
        for row in self.smaller:
            name = budget_text(row["budget"])
            files[f"best under {name}"] = self.out / f"architecture-{name}.json"
        front = self.drawn and (self.device or self.strategy == "pareto")
        return files | ({"front": self.out / "pareto.png"} if front else {})

    def sentences(self) -> list[str]:
        """What the queries of the hold-out are."""
        return [self.queries_note] if self.queries_note else []

    def written(self) -> dict[str, Path]:
        """What was written, and where."""
        return {f"the {what}": where for what, where in self.files.items()}

    def to_dict(self) -> dict[str, Any]:
        """The document that `edgecmp search --json` and result.json contain."""
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
            "queries_note": self.queries_note,
            "supernet": self.supernet,
            "evaluations": self.evaluations,
            "new_evaluations": self.new_evaluations,
            "exhausted": self.exhausted,
            "seconds": round(self.seconds, 3),
            "seconds_each": None if self.seconds_each is None else round(self.seconds_each, 4),
            "files": {name: str(path) for name, path in self.files.items()},
            "tighter": self.smaller,
            "front": self.front,
        }
