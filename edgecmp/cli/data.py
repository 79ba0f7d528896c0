"""`edgecmp data shard`: data sets written so that training can stream them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.options import JsonFile, help_text, writable_folder
from edgecmp.report import finish, on_interrupt

__all__ = ["HELP", "app"]

HELP = help_text(
    "Prepare a data set for training.",
    ("edgecmp data shard --data photos/ --size 112 --out runs/shards",),
)

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def data(context: typer.Context) -> None:
    """Prints the help when no command follows."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(
    "shard",
    help=help_text(
        "Write a data set as shards. They open at once and stream in training.",
        (
            "edgecmp data shard --data photos/ --size 112 --out runs/shards",
            "edgecmp data shard --data IMDb-Face.csv --size 128 --out runs/faces",
            "edgecmp train gallery --data runs/faces --out runs/gallery",
        ),
        "Every image is decoded once, cropped to its box and shrunk; identity, domain, key and "
        "split are stored with it. A folder of shards is a data set like any other: --data DIR. An "
        "interrupted run resumes when you rerun the command.",
    ),
)
def shard(
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", callback=writable_folder, help="New folder for the shards."
        ),
    ],
    source: Annotated[
        str,
        typer.Option(
            "--data", metavar="NAME|PATH", help="The data set, as other commands name it."
        ),
    ] = "emoji",
    size: Annotated[
        int | None,
        typer.Option(
            "--size",
            metavar="PIXELS",
            min=1,
            help="Shrink images whose longer side has more pixels; all sizes are kept without it.",
        ),
    ] = None,
    lossless: Annotated[
        bool,
        typer.Option("--lossless", help="PNG instead of JPEG: larger, but no pixel changes."),
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.write_shards`."""
    from edgecmp import api

    with on_interrupt("Finished shards are kept: rerun the command to resume."):
        report = api.write_shards(source, out=out, longest_side=size, lossless=lossless)
    finish(report, json_file)
