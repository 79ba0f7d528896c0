"""`edgecmp train gallery|supernet|query`: the three networks, in the order they are needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.choices import (
    BASELINES,
    GALLERY_RECIPES,
    METHODS,
    QUERY_RECIPES,
    SUPERNET_RECIPES,
)
from edgecmp.cli.options import (
    Augment,
    BatchSize,
    Data,
    Epochs,
    GalleryImages,
    GalleryModel,
    InputSize,
    JsonFile,
    LearningRate,
    Seed,
    Unlabelled,
    help_text,
    recipe_option,
    writable_folder,
)
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
    "Supernet and query network are trained to be compatible with the gallery model, which is not "
    "changed.",
)

RERUN = (
    "An interrupted training resumes when you rerun the command; a finished one is not repeated, "
    "and another needs an --out of its own. Before the first epoch the command says how long all "
    "of them take on this machine.",
    "Without --recipe the recipe is `photos`, which is fitted to the images and the gallery; that "
    "of the embedded set is its own. `edgecmp recipes show NAME` prints the settings of a recipe.",
)

KEPT = "Complete epochs are kept in {}: rerun the command to resume after the last of them."

Out = Annotated[
    Path,
    typer.Option("--out", metavar="DIR", callback=writable_folder, help="Folder for the network."),
]

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
        *RERUN,
    ),
)
def train_gallery(
    out: Out,
    recipe: Annotated[str | None, recipe_option(GALLERY_RECIPES, file=True)] = None,
    epochs: Epochs = None,
    input_size: InputSize = None,
    lr: LearningRate = None,
    batch_size: BatchSize = None,
    augment: Augment = None,
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
    """Runs `edgecmp.train_gallery`."""
    from edgecmp import api

    with on_interrupt(KEPT.format(out)):
        report = api.train_gallery(
            out=out,
            recipe=recipe,
            epochs=epochs,
            input_size=input_size,
            lr=lr,
            batch_size=batch_size,
            augment=augment,
            start=start,
            data=data,
            seed=seed,
        )
    finish(report, json_file)


@app.command(
    "supernet",
    help=help_text(
        "Train a supernet, which scores architectures in a search.",
        (
            "edgecmp train supernet --recipe emoji --gallery runs/gallery --out runs/supernet",
            "edgecmp train supernet --start none --gallery gallery.onnx --data photos/ "
            "--out runs/supernet",
            "edgecmp train supernet --recipe emoji-adapt --start runs/supernet "
            "--gallery runs/stronger --out runs/adapted",
        ),
        *RERUN,
    ),
)
def train_supernet(
    out: Out,
    recipe: Annotated[str | None, recipe_option(SUPERNET_RECIPES, file=True)] = None,
    tier: Annotated[
        str | None,
        typer.Option("--tier", metavar="NAME", help="100M, 230M or 330M, instead of the recipe's."),
    ] = None,
    epochs: Epochs = None,
    input_size: InputSize = None,
    lr: LearningRate = None,
    batch_size: BatchSize = None,
    augment: Augment = None,
    gallery: GalleryModel = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            metavar="DIR|kit|none",
            help="A supernet of this tier or a narrower one whose weights it starts from; for "
            "another gallery it gets a new head. The starter kit's if not given; none: random "
            "weights.",
        ),
    ] = None,
    data: Data = "emoji",
    unlabelled: Unlabelled = None,
    gallery_images: GalleryImages = False,
    seed: Seed = 0,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.train_supernet`."""
    from edgecmp import api

    with on_interrupt(KEPT.format(out)):
        report = api.train_supernet(
            out=out,
            recipe=recipe,
            tier=tier,
            epochs=epochs,
            input_size=input_size,
            lr=lr,
            batch_size=batch_size,
            augment=augment,
            gallery=gallery,
            start=start,
            data=data,
            unlabelled=unlabelled or (),
            gallery_images=gallery_images,
            seed=seed,
        )
    finish(report, json_file)


@app.command(
    "query",
    help=help_text(
        "Train a query network, compatible with a gallery model. Its architecture comes from a "
        "search, or is a baseline's.",
        (
            "edgecmp train query --architecture runs/search/architecture.json --out runs/query",
            "edgecmp train query --architecture mobilenet_w1 --out runs/mobilenet",
            "edgecmp train query --recipe emoji-imitate --start runs/query "
            "--architecture runs/query/architecture.json --out runs/better",
            "edgecmp train query --method regression-cosine --gallery gallery.toml --data photos/ "
            "--architecture runs/search/architecture.json --out runs/query",
            "edgecmp train query --gallery runs/gallery --data photos/ --unlabelled camera-roll/ "
            "--architecture runs/search/architecture.json --out runs/more",
        ),
        *RERUN,
        "A gallery of which only embeddings exist works with every method except kd and imitation.",
    ),
)
def train_query(
    architecture: Annotated[
        Path,
        typer.Option(
            "--architecture",
            metavar="FILE|NAME",
            help=f"The JSON that a search wrote, or a baseline: {', '.join(BASELINES)}.",
        ),
    ],
    out: Out,
    recipe: Annotated[str | None, recipe_option(QUERY_RECIPES, file=True)] = None,
    epochs: Epochs = None,
    input_size: InputSize = None,
    lr: LearningRate = None,
    batch_size: BatchSize = None,
    augment: Augment = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            metavar="NAME",
            help=f"Instead of the recipe's method: {', '.join(METHODS)}.",
        ),
    ] = None,
    gallery: GalleryModel = None,
    supernet: Annotated[
        str | None,
        typer.Option(
            "--supernet",
            metavar="DIR|kit|none",
            help="A supernet whose weights it starts from; for another gallery it gets a new head. "
            "If not given, that of the search, else the starter kit's; none: random weights, as "
            "for a baseline.",
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--start", metavar="DIR", help="A query network to continue from."),
    ] = None,
    data: Data = "emoji",
    unlabelled: Unlabelled = None,
    gallery_images: GalleryImages = False,
    seed: Seed = 0,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.train_query`."""
    from edgecmp import api

    with on_interrupt(KEPT.format(out)):
        report = api.train_query(
            architecture,
            out=out,
            recipe=recipe,
            epochs=epochs,
            input_size=input_size,
            lr=lr,
            batch_size=batch_size,
            augment=augment,
            method=method,
            gallery=gallery,
            supernet=supernet,
            start=start,
            data=data,
            unlabelled=unlabelled or (),
            gallery_images=gallery_images,
            seed=seed,
        )
    finish(report, json_file)
