"""`edgecmp recipes`: the recipes of all trainings, and the settings of one as TOML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.options import JsonFile, help_text
from edgecmp.report import finish

__all__ = ["HELP", "app"]

HELP = help_text(
    "List all recipes. A recipe holds the settings of a training or of the paper's tables.",
    (
        "edgecmp recipes",
        "edgecmp recipes show photos",
        "edgecmp recipes show emoji-imitate",
    ),
    "`photos` is the default for your own data: it is fitted to the images and the gallery.",
)

SHOW = help_text(
    "Print every setting of a recipe as TOML to edit.",
    (
        "edgecmp recipes show photos",
        "edgecmp recipes show photos --data photos/ --gallery runs/gallery",
        "edgecmp recipes show face --json face.json",
    ),
    "`edgecmp recipes show photos > my.toml` writes a file for `--recipe` of a training. A name "
    "may stand for recipes of several commands: each has a table of its own in the TOML, and a "
    "training reads the table that is called like it. A file need not be complete: "
    '`base = "photos"` takes over everything that it does not name.',
    "`photos` depends on the data; without --data it is shown for an example.",
)

app = typer.Typer(rich_markup_mode=None, no_args_is_help=False)


@app.callback(invoke_without_command=True)
def recipes(context: typer.Context, json_file: JsonFile = None) -> None:
    """Runs `edgecmp.list_recipes` when no command follows."""
    if context.invoked_subcommand is None:
        from edgecmp import api

        finish(api.list_recipes(), json_file)


@app.command("show", help=SHOW)
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A recipe.")],
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME|PATH",
            help="The data that `photos` is fitted to, as of `train`.",
        ),
    ] = None,
    gallery: Annotated[
        Path | None,
        typer.Option(
            "--gallery",
            metavar="DIR|FILE",
            help="The gallery that `photos` is fitted to, beside --data; the starter kit's if not "
            "given.",
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.show_recipe`."""
    from edgecmp import api

    finish(api.show_recipe(name, data=data, gallery=gallery), json_file)
