"""TrainingReport: the result of a training, which `--json` writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecmp.report import Report

__all__ = ["TrainingReport"]


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class TrainingReport(Report):
    """Hold-out results and the record of each epoch.

    Attributes:
        rows: results on the hold-out, in percent.
        records: one per epoch: "epoch", "loss", "lr", "seconds".
        path: the bundle that was written.
        kind: "gallery", "supernet" or "query".
        queries_note: what belongs to all results on the hold-out: that its queries are altered
            copies, or few; empty for most data.
    """

    rows: list[dict[str, Any]]
    records: list[dict[str, float]]
    path: Path
    kind: str
    queries_note: str = ""

    def sentences(self) -> list[str]:
        """What the queries of the hold-out are."""
        return [self.queries_note] if self.queries_note else []

    def written(self) -> dict[str, Path]:
        """What was written, and where."""
        noun = {"gallery": "gallery model", "supernet": "supernet", "query": "query network"}
        return {f"the {noun[self.kind]}": self.path}

    def to_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "kind": self.kind,
            "path": str(self.path),
            "rows": self.rows,
            "queries_note": self.queries_note,
            "epochs": self.records,
        }
