"""`edgecmp recipes`: the recipes of all trainings, and the settings of one."""

from __future__ import annotations

from typing import Annotated

import typer

from edgecmp.cli.options import JsonFile, help_text
from edgecmp.report import finish

__all__ = ["HELP", "recipes"]

HELP = help_text(
    "List all recipes, or show every setting of one. A recipe holds the settings of a training or "
    "of the paper's tables.",
    (
        "edgecmp recipes",
        "edgecmp recipes emoji-imitate",
        "edgecmp recipes face --json face.json",
    ),
    "A name may stand for a recipe of several commands: all of them are shown.",
)


def recipes(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A recipe; all are listed without it.")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.list_recipes` or `edgecmp.show_recipe`."""
    from edgecmp import api

    finish(api.list_recipes() if name is None else api.show_recipe(name), json_file)
