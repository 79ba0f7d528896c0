"""`edgecmp prune`: a query network cut out of a gallery model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.options import Data, Gallery, JsonFile, Seed, help_text
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
    "Filters go inside the residual units (supplement C). magnitude: those with the smallest L1 "
    "norms. channel: those that the next layer can do best without, by LASSO on the responses to "
    "training images, and the next layer's weights are fitted again.",
    "What is written has the gallery model's weights; train it next.",
)


def prune(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the network.")],
    method: Annotated[
        str, typer.Option("--method", metavar="NAME", help="magnitude or channel.")
    ] = "magnitude",
    amount: Annotated[
        float,
        typer.Option("--amount", metavar="SHARE", help="Share of the filters that goes, 0 to 1."),
    ] = 0.5,
    gallery: Gallery = None,
    data: Data = "emoji",
    seed: Seed = 0,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.pruning.prune_gallery`."""
    with on_interrupt(f"{out} was not written: run the same command again."):
        from edgecmp.pruning import prune_gallery

        report = prune_gallery(method, amount, out=out, gallery=gallery, data=data, seed=seed)
    finish(report, json_file, columns=SHOWN, wrote=[("the query network", out)])


SHOWN = ("network", "params", "flops_224", "qq_top1", "qq_top10", "qg_top1", "qg_top10")
"""Columns that fit a screen."""
