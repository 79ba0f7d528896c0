"""`edgecmp flops`: FLOPs of networks, from the exact table of a tier or counted by fvcore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecmp.networks.architecture import Architecture
from edgecmp.networks.form import Form, load_form
from edgecmp.networks.fvcore_flops import count_fvcore
from edgecmp.report import Report
from edgecmp.search.space.flops import FlopsTable

__all__ = ["FlopsReport", "count_flops"]

PAPER_SIZE = 224


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class FlopsReport(Report):
    """FLOPs and multiply-adds of networks.

    Attributes:
        rows: one per network: "file", "network", "flops_224" (fvcore's count at 224 x 224, batch
            norm included), "macs_224" (after batch norm is folded), "input_size" and
            "macs_deployed" (at that size).
    """

    rows: tuple[dict[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """What `--json` writes."""
        return {"rows": list(self.rows)}


def count_flops(networks: Sequence[str | Path]) -> FlopsReport:
    """Counts the FLOPs of architectures (JSON files or folders) and of baselines (by name).

    Raises:
        UserError: a file contains no architecture.
    """
    rows = []
    for network in networks:
        form = load_form(network)
        flops, macs = _count(form, PAPER_SIZE)
        rows.append(
            {
                "file": str(network),
                "network": form.label,
                "flops_224": flops,
                "macs_224": macs,
                "input_size": form.input_size,
                "macs_deployed": _count(form, form.input_size)[1],
            }
        )
    return FlopsReport(rows=tuple(rows))


def _count(form: Form, input_size: int) -> tuple[int, int]:
    """FLOPs and MACs per image."""
    if isinstance(form, Architecture):
        table = FlopsTable.of(form.tier, input_size, form.embedding_dim)
        return table.count(form), table.macs(form)
    counted = count_fvcore(form.build().eval(), input_size)
    return counted.flops, counted.macs
