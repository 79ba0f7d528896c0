"""`edgecmp study ranking`: whether the supernet can be trusted to rank networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.choices import TASK_RECIPES
from edgecmp.cli.options import Gallery, JsonFile, Seed, help_text, recipe_option, writable_folder
from edgecmp.report import finish, on_interrupt

__all__ = ["HELP", "app"]

HELP = help_text(
    "Studies of the method itself.",
    ("edgecmp study ranking --nets 8 --out runs/ranking",),
)

app = typer.Typer(rich_markup_mode=None, no_args_is_help=False)


@app.callback(invoke_without_command=True)
def study(context: typer.Context) -> None:
    """Prints the help when no command follows."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(
    "ranking",
    help=help_text(
        "Check how well the supernet ranks networks. Its ranking is compared with that of training "
        "each network alone.",
        (
            "edgecmp study ranking --nets 8 --out runs/ranking",
            "edgecmp study ranking --nets 20 --supernet runs/supernet --gallery runs/gallery "
            "--data photos/ --out runs/ranking",
        ),
        "Prints Kendall's tau per reward, with its range when one network is left out.",
    ),
)
def ranking(
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", callback=writable_folder, help="Folder of the trainings."
        ),
    ],
    nets: Annotated[int, typer.Option("--nets", metavar="N", help="Random networks.")] = 8,
    recipe: Annotated[str, recipe_option(TASK_RECIPES)] = "emoji",
    supernet: Annotated[
        Path | None,
        typer.Option("--supernet", metavar="DIR", help="The starter kit's if not given."),
    ] = None,
    gallery: Gallery = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="NAME|PATH", help="The recipe's own if not given."),
    ] = None,
    seed: Seed = 0,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.study_ranking`."""
    from edgecmp import api

    with on_interrupt(f"The finished trainings are in {out}: rerun the command to resume."):
        report = api.study_ranking(
            out=out,
            nets=nets,
            recipe=recipe,
            supernet=supernet,
            gallery=gallery,
            data=data,
            seed=seed,
        )
    finish(report, json_file)
