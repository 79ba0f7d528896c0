"""`edgecmp eval`: how well queries find their identity in the gallery."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.options import (
    Data,
    GalleryModel,
    JsonFile,
    Limit,
    QueryModel,
    help_text,
    writable,
)
from edgecmp.report import finish, on_interrupt

__all__ = ["HELP", "evaluate"]

HELP = help_text(
    "Evaluate a query network alone and against the gallery.",
    (
        "edgecmp eval",
        "edgecmp eval --model runs/query --json eval.json",
        "edgecmp eval --model runs/query --gallery runs/gallery --data photos/",
        "edgecmp eval --model runs/query --gallery runs/gallery --data IJBC/",
        "edgecmp eval --model query.onnx --gallery gallery.toml --data photos/",
        "edgecmp eval --model runs/query --data DeepFashion2/ --results found.json",
    ),
    "On the test split, whose identities no network was trained on. Protocols: qg is the "
    "heterogeneous one (queries embedded by the query network, gallery by the gallery model); qq "
    "and gg use one network for both. Shares are in percent.",
    "A folder in IJB-C's layout (loose_crop/ and meta/), or a .toml file that describes one, is "
    "evaluated by that set's 1:1 and 1:N protocols. What was embedded is kept in the folder that "
    "the description names as its cache.",
)


def evaluate(
    model: QueryModel = None,
    gallery: GalleryModel = None,
    data: Data = "emoji",
    limit: Limit = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--results",
            metavar="FILE",
            dir_okay=False,
            callback=writable,
            help="Also write the ranking as DeepFashion2's official evaluation reads it.",
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.evaluate`."""
    from edgecmp import api

    with on_interrupt("Rerun the command."):
        report = api.evaluate(model, gallery=gallery, data=data, limit=limit, results=results)
    finish(report, json_file)
