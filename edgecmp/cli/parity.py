"""`edgecmp parity`: does the device find what the server would find?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.options import Data, Index, JsonFile, Model, help_text
from edgecmp.cli.output import finish, on_interrupt

__all__ = ["HELP", "parity"]

HELP = help_text(
    "Prove that the device finds what the server would find.",
    (
        "edgecmp parity query.tflite query.onnx query.mlpackage",
        "edgecmp parity query.tflite --model runs/query --index runs/index --json parity.json",
    ),
    "Embeds the real test queries with each file in its real runtime and ranks the server's "
    "gallery by them. Exit code 0 if every file passed, 1 if one failed.",
)


def parity(
    files: Annotated[list[Path], typer.Argument(metavar="FILES", help="Exported files.")],
    model: Model = None,
    index: Index = None,
    data: Data = "emoji",
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.export.parity`."""
    with on_interrupt("Nothing was written: run the same command again."):
        from edgecmp.export import parity as run

        report = run(files, model=model, index=index, data=data)
    finish(report, json_file)
    if any(row["verdict"] == "fail" for row in report.rows):
        raise typer.Exit(1)
