"""`edgecmp parity`: does the device find what the server would find?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.options import Data, Index, JsonFile, QueryModel, help_text
from edgecmp.cli.output import finish, on_interrupt

__all__ = ["HELP", "parity"]

HELP = help_text(
    "Prove that the device finds what the server would find.",
    (
        "edgecmp parity query.tflite query.onnx query.mlpackage",
        "edgecmp parity query.tflite --model runs/query --index runs/index --json parity.json",
        "edgecmp parity query.tflite --model query.onnx",
        "edgecmp parity other.toml --model runs/query",
    ),
    "Embeds the real test queries with each file in its real runtime and ranks the server's "
    "gallery by them. Exit code 0 if something was run and nothing failed, else 1.",
)

COLUMNS = (
    *("target", "precision", "runtime", "min_cosine", "p1_cosine"),
    *("top1_agreement", "delta_top10", "verdict"),
)


def parity(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES",
            help="Exported files; for an ONNX file from elsewhere its .toml description.",
        ),
    ],
    model: QueryModel = None,
    index: Index = None,
    data: Data = "emoji",
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.export.parity`."""
    with on_interrupt("Nothing was written: run the same command again."):
        from edgecmp.export import parity as run

        report = run(files, model=model, index=index, data=data)
    finish(report, json_file, columns=COLUMNS)
    print(
        f"{report.queries} queries, {report.gallery} gallery images; "
        f"torch finds {report.torch_top1:.2f} at top-1, {report.torch_top10:.2f} at top-10."
    )
    if not report.passed:
        raise typer.Exit(1)
