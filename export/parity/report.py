"""ParityReport: one row per file and runtime, and one per stage before it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgecmp.data.protocol_names import IDENTITIES_UNSEEN, KNOWN_SENTENCE, ProtocolName
from edgecmp.export.parity.case import ParityCase
from edgecmp.export.parity.compatibility import Rule
from edgecmp.export.parity.verdict import ENOUGH_QUERIES, Bounds
from edgecmp.files import provenance
from edgecmp.report import Report, failures, table_text

__all__ = [
    "FIGURES",
    "ParityReport",
    "file_row",
    "plain",
    "refused_row",
    "rule_columns",
    "size_mb",
]

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
"""The figures of a `Comparison` that a row contains."""

COLUMNS = (
    *("target", "precision", "input", "runtime", "size_mb", "min_cosine", "p1_cosine"),
    *("mean_cosine", "top1_agreement", "delta_top10", "delta_tar", "rule", "latency_ms"),
    "verdict",
)
STAGE_COLUMNS = (
    *("stage", "min_cosine", "delta_top10", "mqg_top10", "mqq_top10", "difference", "rule"),
    "verdict",
)
STAGES_WIDTH = 120

RULE = ("mqg_top10", "mqq_top10", "rule_low", "rule_high", "rule")


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class ParityReport(Report):
    """Each file in each runtime, and each stage before it, against the trained network.

    Attributes:
        rows: one dictionary per file and runtime: target, precision, input, runtime, file, size_mb,
            `FIGURES` (None if it was not run), the compatibility rule (mqg_top10, mqq_top10, the
            interval of their difference rule_low and rule_high, rule: "holds", "level" or
            "broken"), latency_ms (median of single images in this process), bounds, verdict
            ("pass", "fail" or "not run") and reason. A file that could not be opened is one row
            without figures.
        stages: the same figures for the network as trained, lowered and quantised.
        model: name of the trained network.
        index: folder of the gallery index.
        data: name of the data set.
        queries: number of test queries that were used.
        all_queries: number of test queries of the data.
        gallery: number of gallery images.
        torch_top1: top-1 of the trained network in the server's gallery, in percent.
        torch_top10: the same by top-10.
        torch_tar: the same by TAR at FAR=1e-3.
        protocol_name: "identities unseen", or "gallery known" if the trained network knew images of
            the gallery.
        queries_note: what the queries are, if they are altered copies; empty for most data.
        picture: path of the picture, if one was requested.
        provenance: the versions and the command that made the report.
    """

    rows: list[dict[str, Any]]
    stages: list[dict[str, Any]]
    model: str
    index: str
    data: str
    queries: int
    all_queries: int
    gallery: int
    torch_top1: float
    torch_top10: float
    torch_tar: float
    protocol_name: ProtocolName = IDENTITIES_UNSEEN
    queries_note: str = ""
    picture: str | None = None
    provenance: dict[str, str] = field(default_factory=provenance)

    @property
    def passed(self) -> bool:
        """Whether at least one file was run, and no file and no stage failed."""
        verdicts = {row["verdict"] for row in self.rows}
        before = {row["verdict"] for row in self.stages}
        return "pass" in verdicts and "fail" not in verdicts | before

    def heading(self) -> str:
        """The compatibility rule, stage by stage."""
        rows = [
            stage
            | {
                "difference": _with_interval(
                    stage["mqg_top10"] - stage["mqq_top10"], stage["rule_low"], stage["rule_high"]
                )
            }
            for stage in self.stages
        ]
        failed = [
            f"{stage['verdict']}: stage {stage['stage']}: {stage['reason']}"
            for stage in self.stages
            if stage["reason"]
        ]
        title = "Before any file: the compatibility rule M(q,g) > M(q,q) at top-10, per stage."
        table = table_text(rows, columns=STAGE_COLUMNS, width=STAGES_WIDTH)
        return "\n".join([title, table, *failed, " "])

    def shown_rows(self) -> list[dict[str, Any]]:
        """The rows with intervals beside their figures: "-0.18 (-0.44, +0.09)"."""
        return [
            row
            | {
                name: _with_interval(row[name], row[f"{name}_low"], row[f"{name}_high"])
                for name in ("delta_top10", "delta_tar")
            }
            for row in self.rows
        ]

    def shown_columns(self) -> tuple[str, ...]:
        """What fits a screen."""
        return COLUMNS

    def sentences(self) -> list[str]:
        """Why files failed, and how to read the figures."""
        used = f"Only {self.queries} of {self.all_queries} queries were used"
        if self.queries == self.all_queries:
            used = f"The data has fewer than {ENOUGH_QUERIES:,} queries"
        sample = (
            f"{used}: a change of the top-10 accuracy fails only if its whole interval is beyond "
            "the bound."
        )
        return [
            *failures(self.rows),
            *self._broken_by_training(),
            *([sample] if self.queries < max(self.all_queries, ENOUGH_QUERIES) else []),
            f"{self.queries} queries, {self.gallery} gallery images; the network itself retrieves "
            f"{self.torch_top1:.2f} at top-1, {self.torch_top10:.2f} at top-10, TAR@FAR=1e-3 "
            f"{self.torch_tar:.2f}. Changes are in points, with 95 % intervals; rule: level means "
            "that these queries cannot tell M(q,g) and M(q,q) apart.",
            *([self.queries_note] if self.queries_note else []),
            *([] if self.protocol_name == IDENTITIES_UNSEEN else [KNOWN_SENTENCE]),
        ]

    def _broken_by_training(self) -> list[str]:
        """That the trained network itself breaks the compatibility rule, if it does."""
        trained = self.stages[0]
        if trained["rule"] != "broken":
            return []
        figures = f"M(q,g) {trained['mqg_top10']:.2f} < M(q,q) {trained['mqq_top10']:.2f}"
        return [
            f"The trained network itself breaks the compatibility rule: {figures} at top-10, so it "
            "would find more in an index of its own. Stages and files are judged by what they "
            "change."
        ]

    def written(self) -> dict[str, Path]:
        """The picture."""
        return {} if self.picture is None else {"the picture": Path(self.picture)}

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of `--json`."""
        return {"passed": self.passed, **asdict(self)}


def _with_interval(figure: float | None, low: float | None, high: float | None) -> str | None:
    """A figure and its interval as one cell: "-0.18 (-0.44, +0.09)"."""
    if figure is None or low is None or high is None:
        return None
    return f"{figure:+.2f} ({low:+.2f}, {high:+.2f})"


def file_row(
    case: ParityCase, figures: dict[str, Any], rule: Rule | None, bounds: Bounds, reason: str
) -> dict[str, Any]:
    """One row of `ParityReport.rows`.

    Args:
        case: the file in one runtime.
        figures: those of its `Comparison`; empty if it was not run.
        rule: the compatibility rule; None if it was not run.
        bounds: of its precision.
        reason: why it failed or was not run, or a note.
    """
    return {
        "target": case.metadata.target,
        "precision": case.metadata.precision,
        "input": case.metadata.input,
        "runtime": case.runtime,
        "file": str(case.path),
        "size_mb": size_mb(case),
        **{name: plain(figures.get(name)) for name in FIGURES},
        **rule_columns(rule),
        "latency_ms": plain(case.latency_ms),
        "bounds": asdict(bounds),
        "verdict": case.verdict,
        "reason": reason,
    }


def refused_row(path: Path, target: str, reason: str) -> dict[str, Any]:
    """The row of a file that could not be opened.

    Args:
        path: of the file.
        target: its format.
        reason: why not.
    """
    return {
        "target": target,
        "precision": "",
        "input": "",
        "runtime": "no runtime",
        "file": str(path),
        "size_mb": None,
        **dict.fromkeys(FIGURES),
        **rule_columns(None),
        "latency_ms": None,
        "bounds": None,
        "verdict": "fail",
        "reason": reason,
    }


def rule_columns(rule: Rule | None) -> dict[str, Any]:
    """The columns of the compatibility rule."""
    if rule is None:
        return dict.fromkeys(RULE)
    values = (rule.mqg_top10, rule.mqq_top10, rule.low, rule.high, rule.verdict)
    return dict(zip(RULE, values, strict=True))


def plain(figure: float | None) -> float | None:
    """A figure as JSON can represent it: None if it is not finite."""
    return figure if figure is not None and math.isfinite(figure) else None


def size_mb(case: ParityCase) -> float:
    """Size of a file, or of all files of a folder, in 10^6 bytes."""
    files = case.path.rglob("*") if case.path.is_dir() else (case.path,)
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6
