"""`edgecmp flops`: what architectures cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgecmp.cli.options import JsonFile, help_text
from edgecmp.report import finish

if TYPE_CHECKING:
    from edgecmp.networks.form import Form

__all__ = ["HELP", "FlopsReport", "count_flops", "flops"]

HELP = help_text(
    "Count what architectures cost, as fvcore does.",
    (
        "edgecmp flops runs/search/architecture.json",
        "edgecmp flops runs/*/architecture.json --json flops.json",
        "edgecmp flops mobilenet_w1 resnet101 runs/query",
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
    """Counts architectures in JSON files or folders, and baselines by their names.

    Raises:
        UserError: a file holds no architecture.
    """
    from edgecmp.networks.form import load_form

    rows = []
    for file in files:
        form = load_form(file)
        flops, macs = _count(form, PAPER_SIZE)
        rows.append(
            {
                "file": str(file),
                "network": form.label,
                "flops_224": flops,
                "macs_224": macs,
                "input_size": form.input_size,
                "macs_deployed": _count(form, form.input_size)[1],
            }
        )
    return FlopsReport(rows=tuple(rows))


def _count(form: Form, input_size: int) -> tuple[int, int]:
    """FLOPs and MACs of an image: of searched networks by their table, of others by fvcore."""
    from edgecmp.networks.architecture import Architecture

    if isinstance(form, Architecture):
        from edgecmp.search.space.flops import FlopsTable

        table = FlopsTable.of(form.tier, input_size, form.embedding_dim)
        return table.count(form), table.macs(form)
    from edgecmp.networks.fvcore_flops import count_fvcore

    counted = count_fvcore(form.build().eval(), input_size)
    return counted.flops, counted.macs


def flops(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="ARCH.json|NAME", help="Architectures and baselines to count."),
    ],
    json_file: JsonFile = None,
) -> None:
    """Runs `count_flops`."""
    finish(count_flops(files), json_file)
