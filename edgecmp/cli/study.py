"""`edgecmp study ranking`: whether the supernet can be trusted to rank networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.options import Gallery, JsonFile, Seed, help_text
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
        "Compare the supernet's order of networks with that of training each alone.",
        (
            "edgecmp study ranking --nets 8 --out runs/ranking",
            "edgecmp study ranking --nets 20 --supernet runs/supernet --gallery runs/gallery "
            "--data photos/ --out runs/ranking",
        ),
        "Prints Kendall's tau for each reward, with its range when one network is left out.",
    ),
)
def ranking(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the trainings.")],
    nets: Annotated[int, typer.Option("--nets", help="How many random networks.")] = 8,
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="NAME", help="A wrong name lists them all.")
    ] = "emoji",
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
    """Runs `edgecmp.benchmarks.paper.ranking.study_ranking`."""
    with on_interrupt(f"What was trained is kept in {out}: run the same command again."):
        from edgecmp.benchmarks.paper.ranking import study_ranking

        found = study_ranking(
            nets=nets,
            recipe_name=recipe,
            out=out,
            supernet=supernet,
            gallery=gallery,
            data=data,
            seed=seed,
        )
    finish(found, json_file, wrote=[("the picture", found.picture)])
    for name, tau in found.taus.items():
        print(
            f"Kendall tau by {name.upper()}: {tau:.2f} "
            f"({found.low[name]:.2f} to {found.high[name]:.2f} with one left out)"
        )
