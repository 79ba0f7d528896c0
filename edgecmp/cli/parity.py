"""`edgecmp parity`: does the device find what the server would find?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.options import Data, Index, JsonFile, Limit, QueryModel, help_text, writable
from edgecmp.report import finish, on_interrupt

__all__ = ["HELP", "parity"]

HELP = help_text(
    "Prove that the device finds what the server would find.",
    (
        "edgecmp parity query.tflite query.onnx query.mlpackage",
        "edgecmp parity query.tflite --model runs/query --index runs/index --json parity.json",
        "edgecmp parity query.tflite --picture parity.png",
        "edgecmp parity query.tflite --model query.onnx",
        "edgecmp parity other.toml --model runs/query",
        "edgecmp parity query.tflite --device ssh://pi@raspberrypi --limit 50",
    ),
    "Embeds the real test queries with each file in its real runtime and ranks the server's "
    "gallery by them. If a file fails, the cause is searched for: swapped colours, an input that "
    "is normalised twice, the first layer that differs. Of several files, one that cannot be "
    "opened fails and the others are compared. Exit code 0 if something was run and nothing "
    "failed, else 1.",
)


def parity(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES",
            help="Exported files; for an ONNX file of other tools its .toml description.",
        ),
    ],
    model: QueryModel = None,
    index: Index = None,
    data: Data = "emoji",
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE",
            dir_okay=False,
            callback=writable,
            help="Draw cosines and rank changes into this .png.",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device", metavar="NAME", help="Run the files on this device too, ssh://user@host."
        ),
    ] = None,
    limit: Limit = None,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.parity`."""
    from edgecmp import api

    with on_interrupt("Nothing was written: rerun the command."):
        report = api.parity(
            files,
            model=model,
            index=index,
            data=data,
            device=device,
            limit=limit,
            picture=picture,
        )
    finish(report, json_file)
    if not report.passed:
        raise typer.Exit(1)
