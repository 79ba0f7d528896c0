"""`edgecmp init`: descriptions of a user's data and gallery model, to edit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.options import JsonFile, help_text, writable_folder
from edgecmp.report import finish, on_interrupt

__all__ = ["HELP", "init"]

HELP = help_text(
    "Describe your photos and gallery in files to edit.",
    (
        "edgecmp init photos/ --gallery gallery.onnx --out mine",
        "edgecmp init photos/ --out mine --force",
    ),
    "Writes data.toml, recipe.toml and, for an ONNX file without a description, gallery.toml. What "
    "was found stands in them as comments: sizes, domains, exact copies, near copies of queries in "
    "the gallery, identities with one image or in one domain only; and what was assumed.",
)


def init(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="The data: a folder, a manifest, shards or a .toml file, as --data of other "
            "commands takes it. Addresses are refused: download the images first.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", callback=writable_folder, help="Folder of the files."),
    ],
    gallery: Annotated[
        Path | None,
        typer.Option(
            "--gallery",
            metavar="DIR|FILE",
            help="The gallery model: a folder, an .onnx file, or a .toml file that describes one.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that are there already.")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.init`."""
    from edgecmp import api

    with on_interrupt("Nothing was written: rerun the command."):
        report = api.init(path, out=out, gallery=gallery, force=force)
    finish(report, json_file)
