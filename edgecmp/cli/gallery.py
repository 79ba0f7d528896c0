"""`edgecmp gallery build`: the index that queries are ranked against."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.options import Data, JsonFile, help_text, writable_folder
from edgecmp.report import finish, on_interrupt

__all__ = ["HELP", "app"]

HELP = help_text(
    "Build the gallery index that queries are ranked against.",
    ("edgecmp gallery build --out runs/index",),
)

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def gallery(context: typer.Context) -> None:
    """Prints the help when no command follows."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(
    "build",
    help=help_text(
        "Embed the gallery's images and write the index. The gallery model embeds them.",
        (
            "edgecmp gallery build --out runs/index",
            "edgecmp gallery build --model runs/gallery --data photos/ --out runs/index",
            "edgecmp gallery build --model gallery.toml --data photos/ --out runs/index",
        ),
        "An interrupted build resumes when you rerun the command; an earlier index stays until the "
        "new one is complete.",
        "A gallery model that exists as an ONNX file is described by a small .toml file: name the "
        ".onnx file alone, and the lines to write are printed.",
    ),
)
def build(
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", callback=writable_folder, help="Folder for the index."
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            metavar="DIR|FILE",
            help="A gallery model: a folder, an .onnx file, or a .toml file that describes one; "
            "the starter kit's if not given.",
        ),
    ] = None,
    data: Data = "emoji",
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.build_index`."""
    from edgecmp import api

    with on_interrupt(
        "An earlier index is unchanged, and finished batches of images are kept: rerun the command "
        "to resume."
    ):
        report = api.build_index(out=out, model=model, data=data)
    finish(report, json_file)
