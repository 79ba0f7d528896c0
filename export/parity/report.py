"""What `edgecmp parity` found: one row a file and runtime, one a stage before it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from edgecmp.export.parity.case import Trial
from edgecmp.export.parity.compatibility import Rule
from edgecmp.export.parity.verdict import Bounds
from edgecmp.files import provenance

__all__ = ["FIGURES", "ParityReport", "file_row", "plain", "rule_columns", "size_mb"]

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
    "delta_tar",
    "delta_tar_low",
    "delta_tar_high",
    "collapse",
    "collapse_torch",
)
"""The figures of a `Comparison` that a row shows."""

RULE = ("mqg_top10", "mqq_top10", "rule_low", "rule_high", "rule")


@dataclass(frozen=True, kw_only=True, slots=True)
class ParityReport:
    """Each file in each runtime, and each stage before it, against the trained network.

    Attributes:
        rows: one dictionary each: target, precision, input, runtime, file, size_mb, `FIGURES` (None
            where nothing was run), the compatibility rule (mqg_top10, mqq_top10, their
            difference's interval rule_low and rule_high, rule: "holds", "level" or "broken"),
            latency_ms (median of single images in this process), bounds, verdict ("pass", "fail"
            or "not run") and reason.
        stages: the same figures for the network as it was trained, lowered and quantised, before
            any file.
        queries: number of test queries.
        gallery: number of gallery images.
        torch_top1, torch_top10, torch_tar: accuracy of the trained network in the server's gallery,
            in percent; TAR at FAR=1e-3.
        picture: where the picture was written, if one was asked for.
    """

    rows: list[dict[str, Any]]
    stages: list[dict[str, Any]]
    model: str
    index: str
    data: str
    queries: int
    gallery: int
    torch_top1: float
    torch_top10: float
    torch_tar: float
    picture: str | None = None
    provenance: dict[str, str] = field(default_factory=provenance)

    @property
    def passed(self) -> bool:
        """Whether something was run and nothing failed, in any stage."""
        verdicts = {row["verdict"] for row in self.rows}
        before = {row["verdict"] for row in self.stages}
        return "pass" in verdicts and "fail" not in verdicts | before

    def to_dict(self) -> dict[str, Any]:
        """What `--json` writes."""
        return {"passed": self.passed, **asdict(self)}


def file_row(
    trial: Trial, figures: dict[str, Any], rule: Rule | None, bounds: Bounds, reason: str
) -> dict[str, Any]:
    """One row of the table; what was not run has no figures."""
    return {
        "target": trial.metadata.target,
        "precision": trial.metadata.precision,
        "input": trial.metadata.input,
        "runtime": trial.runtime,
        "file": str(trial.path),
        "size_mb": size_mb(trial),
        **{name: plain(figures.get(name)) for name in FIGURES},
        **rule_columns(rule),
        "latency_ms": plain(trial.latency_ms),
        "bounds": asdict(bounds),
        "verdict": trial.verdict,
        "reason": reason,
    }


def rule_columns(rule: Rule | None) -> dict[str, Any]:
    """The compatibility rule as columns."""
    if rule is None:
        return dict.fromkeys(RULE)
    values = (rule.mqg_top10, rule.mqq_top10, rule.low, rule.high, rule.verdict)
    return dict(zip(RULE, values, strict=True))


def plain(figure: float | None) -> float | None:
    """A figure as JSON can hold it: what is no number is None."""
    return figure if figure is not None and math.isfinite(figure) else None


def size_mb(trial: Trial) -> float:
    """Size of a file, or of all files of a folder, in 10^6 bytes."""
    files = trial.path.rglob("*") if trial.path.is_dir() else (trial.path,)
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6
