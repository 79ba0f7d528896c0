"""`edgecmp prune`: a query network cut out of a gallery model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.choices import PRUNING_METHODS
from edgecmp.cli.options import Data, Gallery, JsonFile, Seed, help_text, writable_folder
from edgecmp.report import finish, on_interrupt

__all__ = ["HELP", "prune"]

HELP = help_text(
    "Cut a query network out of a gallery model.",
    (
        "edgecmp prune --method magnitude --amount 0.5 --out runs/pruned",
        "edgecmp prune --gallery runs/gallery --method channel --amount 0.9 --out runs/pruned",
        "edgecmp train query --gallery runs/gallery --start runs/pruned "
        "--architecture runs/pruned/architecture.json --out runs/query",
    ),
    "Filters inside the residual units are removed (supplement C). magnitude: those with the "
    "smallest L1 norms. channel: those that the next layer needs least, by LASSO on its responses "
    "to training images; the next layer's weights are then fitted again.",
    "The result has the gallery model's weights; train it next.",
)


def prune(
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", callback=writable_folder, help="Folder for the network."
        ),
    ],
    method: Annotated[
        str,
        typer.Option("--method", metavar="|".join(PRUNING_METHODS), help="Which filters go."),
    ] = "magnitude",
    amount: Annotated[
        float,
        typer.Option(
            "--amount", metavar="SHARE", help="Share of the filters that is removed, 0 to 1."
        ),
    ] = 0.5,
    gallery: Gallery = None,
    data: Data = "emoji",
    seed: Seed = 0,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.prune`."""
    from edgecmp import api

    with on_interrupt(f"{out} was not written: rerun the command."):
        report = api.prune(method, amount, out=out, gallery=gallery, data=data, seed=seed)
    finish(report, json_file)
