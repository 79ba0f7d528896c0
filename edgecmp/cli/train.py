"""`edgecmp train gallery|supernet|query`: the three networks, in the order they are needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.options import Data, GalleryModel, JsonFile, Seed, help_text
from edgecmp.report import finish, on_interrupt

__all__ = ["HELP", "app"]

HELP = help_text(
    "Train a gallery model, a supernet or a query network.",
    (
        "edgecmp train gallery --recipe emoji --out runs/gallery",
        "edgecmp train supernet --recipe emoji --gallery runs/gallery --out runs/supernet",
        "edgecmp train query --recipe emoji --architecture runs/search/architecture.json "
        "--gallery runs/gallery --out runs/query",
    ),
    "Supernet and query network are trained to be compatible with the gallery model, which stays "
    "as it is.",
)

KEPT = "The last whole epoch is kept in {}: run the same command again and it goes on from there."

Recipe = Annotated[
    str, typer.Option("--recipe", metavar="NAME", help="A wrong name lists them all.")
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the network.")]

app = typer.Typer(rich_markup_mode=None, no_args_is_help=False)


@app.callback(invoke_without_command=True)
def train(context: typer.Context) -> None:
    """Prints the help when no command follows."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(
    "gallery",
    help=help_text(
        "Train a gallery model: the strong network of the server.",
        (
            "edgecmp train gallery --recipe emoji --out runs/gallery",
            "edgecmp train gallery --recipe emoji-turns --start runs/gallery --out runs/stronger",
        ),
    ),
)
def train_gallery(
    out: Out,
    recipe: Recipe = "emoji",
    start: Annotated[
        Path | None,
        typer.Option(
            "--start", metavar="DIR", help="A gallery model whose weights it starts from."
        ),
    ] = None,
    data: Data = "emoji",
    seed: Seed = 0,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.training.gallery.train_gallery`."""
    with on_interrupt(KEPT.format(out)):
        from edgecmp.training.gallery import train_gallery as run
        from edgecmp.training.recipes.parts import gallery_recipe

        report = run(gallery_recipe(recipe), out=out, start=start, data=data, seed=seed)
    finish(report, json_file, wrote=[("the gallery model", out)])


@app.command(
    "supernet",
    help=help_text(
        "Train a supernet, which scores architectures in a search.",
        (
            "edgecmp train supernet --recipe emoji --gallery runs/gallery --out runs/supernet",
            "edgecmp train supernet --recipe emoji-adapt --start runs/supernet "
            "--gallery runs/stronger --out runs/adapted",
        ),
    ),
)
def train_supernet(
    out: Out,
    recipe: Recipe = "emoji",
    gallery: GalleryModel = None,
    start: Annotated[
        Path | None,
        typer.Option("--start", metavar="DIR", help="A supernet to go on from."),
    ] = None,
    data: Data = "emoji",
    seed: Seed = 0,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.training.supernet.train_supernet`."""
    with on_interrupt(KEPT.format(out)):
        from edgecmp.training.recipes.parts import supernet_recipe
        from edgecmp.training.supernet import train_supernet as run

        report = run(
            supernet_recipe(recipe), out=out, gallery=gallery, start=start, data=data, seed=seed
        )
    finish(report, json_file, wrote=[("the supernet", out)])


@app.command(
    "query",
    help=help_text(
        "Train the network of an architecture, compatible with a gallery model.",
        (
            "edgecmp train query --architecture runs/search/architecture.json --out runs/query",
            "edgecmp train query --architecture mobilenet_w1 --out runs/mobilenet",
            "edgecmp train query --recipe emoji-imitate --start runs/query "
            "--architecture runs/query/architecture.json --out runs/better",
            "edgecmp train query --method regression-cosine --gallery gallery.toml --data photos/ "
            "--architecture runs/search/architecture.json --out runs/query",
        ),
        "Methods: scratch, fine-tune, kd, bct, regression-mse, regression-cosine, imitation, csd, "
        "d3still, procrustes. A gallery of which only embeddings exist works with all but kd and "
        "imitation.",
    ),
)
def train_query(
    architecture: Annotated[
        Path,
        typer.Option(
            "--architecture",
            metavar="FILE|NAME",
            help="The JSON that a search wrote, or a baseline: mobilenet_w1, mobilenet_wd2, "
            "mobilenetv2_w1, mobilenetv2_wd2, mobilenetv3_large_w1, proxylessnas_mobile, "
            "shufflenet_g1_w1, shufflenetv2_w1, resnet101.",
        ),
    ],
    out: Out,
    recipe: Recipe = "emoji",
    method: Annotated[
        str | None,
        typer.Option("--method", metavar="NAME", help="In place of the recipe's own method."),
    ] = None,
    gallery: GalleryModel = None,
    supernet: Annotated[
        Path | None,
        typer.Option("--supernet", metavar="DIR", help="A supernet to start from."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--start", metavar="DIR", help="A query network to go on from."),
    ] = None,
    data: Data = "emoji",
    seed: Seed = 0,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.training.query.train_query`."""
    with on_interrupt(KEPT.format(out)):
        from edgecmp.training.query import train_query as run
        from edgecmp.training.recipes.parts import query_recipe

        report = run(
            query_recipe(recipe, method=method),
            architecture=architecture,
            gallery=gallery,
            supernet=supernet,
            start=start,
            out=out,
            data=data,
            seed=seed,
        )
    finish(report, json_file, wrote=[("the query network", out)])
