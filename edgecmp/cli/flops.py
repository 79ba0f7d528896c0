"""`edgecmp flops`: what architectures cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from edgecmp.cli.options import JsonFile, help_text
from edgecmp.cli.output import finish

__all__ = ["HELP", "FlopsReport", "count_flops", "flops"]

HELP = help_text(
    "Count what architectures cost, as fvcore does.",
    (
        "edgecmp flops runs/search/architecture.json",
        "edgecmp flops runs/*/architecture.json --json flops.json",
    ),
    "flops_224: fvcore's count at 224 x 224, batch norm included; budgets are held by it. "
    "macs_224: multiply-adds at 224 x 224 once batch norm is folded into the convolutions. "
    "macs_deployed: the same at the architecture's own input size.",
)

PAPER_SIZE = 224


@dataclass(frozen=True, kw_only=True, slots=True)
class FlopsReport:
    """One row an architecture."""

    rows: tuple[dict[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """What `--json` writes."""
        return {"rows": list(self.rows)}


def count_flops(files: Sequence[Path]) -> FlopsReport:
    """Counts the architectures in JSON files.

    Raises:
        UserError: a file holds no architecture.
    """
    from edgecmp.architecture import Architecture
    from edgecmp.search.flops import FlopsTable

    rows = []
    for file in files:
        arch = Architecture.load(file)
        paper = FlopsTable.of(arch.tier, PAPER_SIZE, arch.embedding_dim)
        deployed = FlopsTable.of(arch.tier, arch.input_size, arch.embedding_dim)
        rows.append(
            {
                "file": str(file),
                "tier": arch.tier,
                "flops_224": paper.count(arch),
                "macs_224": paper.macs(arch),
                "input_size": arch.input_size,
                "macs_deployed": deployed.macs(arch),
            }
        )
    return FlopsReport(rows=tuple(rows))


def flops(
    files: Annotated[
        list[Path], typer.Argument(metavar="ARCH.json", help="Architectures to count.")
    ],
    json_file: JsonFile = None,
) -> None:
    """Runs `count_flops`."""
    finish(count_flops(files), json_file)
