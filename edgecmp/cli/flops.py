"""`edgecmp flops`: what networks cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.choices import BASELINES
from edgecmp.cli.options import JsonFile, help_text
from edgecmp.report import finish

__all__ = ["HELP", "flops"]

HELP = help_text(
    "Count what networks cost, as fvcore does.",
    (
        "edgecmp flops runs/search/architecture.json",
        "edgecmp flops runs/*/architecture.json --json flops.json",
        "edgecmp flops mobilenet_w1 resnet101 runs/query",
    ),
    "flops_224: fvcore's count at 224 x 224, batch norm included; budgets are in these. macs_224: "
    "multiply-adds at 224 x 224 after batch norm is folded into the convolutions. macs_deployed: "
    "the same at the network's own input size.",
    f"Baselines: {', '.join(BASELINES)}.",
)


def flops(
    networks: Annotated[
        list[Path],
        typer.Argument(metavar="ARCH.json|NAME", help="Architectures and baselines to count."),
    ],
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.count_flops`."""
    from edgecmp import api

    finish(api.count_flops(networks), json_file)
