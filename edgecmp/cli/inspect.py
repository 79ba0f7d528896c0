"""`edgecmp inspect`: what a file or folder is, and what it was made from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.endings import fail
from edgecmp.cli.options import JsonFile, help_text
from edgecmp.report import finish

__all__ = ["HELP", "inspect"]

HELP = help_text(
    "Say what a file or folder is, and what it was made from.",
    (
        "edgecmp inspect runs/query runs/query.tflite",
        "edgecmp inspect runs/query.onnx --index runs/index",
        "edgecmp inspect runs/* --json inspect.json",
    ),
    "Knows every artefact of edgecmp, and .tflite, .onnx and .mlpackage files of other tools. "
    "Checks that no byte of an exported file was changed. A "
    "hash is shown by its first twelve digits; --json has all. Exit code 0 if all checks hold, 1 "
    "if one failed, 2 if something cannot be read.",
)

UNREADABLE = 2


def inspect(
    paths: Annotated[list[Path], typer.Argument(metavar="PATHS", help="Files and folders.")],
    index: Annotated[
        Path | None,
        typer.Option(
            "--index",
            metavar="DIR",
            help="The gallery index that they should belong to: a failed check if they do not.",
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.inspect`."""
    from edgecmp import api

    report = api.inspect(paths, index=index)
    finish(report, json_file)
    sys.stdout.flush()
    for error in report.errors:
        fail(str(error))
    if report.errors:
        raise typer.Exit(UNREADABLE)
    if not report.sound:
        raise typer.Exit(1)
