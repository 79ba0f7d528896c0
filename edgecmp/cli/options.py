"""The options that several commands share, and the one form of their help texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from edgecmp.storage import check_writable, check_writable_folder

__all__ = [
    "Augment",
    "BatchSize",
    "Data",
    "Epochs",
    "Gallery",
    "GalleryImages",
    "GalleryModel",
    "Index",
    "InputSize",
    "JsonFile",
    "Latency",
    "LatencyTable",
    "LearningRate",
    "Limit",
    "Model",
    "QueryModel",
    "Seed",
    "Unlabelled",
    "help_text",
    "recipe_option",
    "writable",
    "writable_any",
    "writable_folder",
]


def writable(file: Path | None) -> Path | None:
    """The callback of an option that names a file to write: refused before the work, not after.

    Raises:
        UserError: the file could not be written.
    """
    return None if file is None else check_writable(file)


def writable_folder(folder: Path | None) -> Path | None:
    """The callback of an option that names a folder to write to.

    Raises:
        UserError: the folder can neither be made nor be written to.
    """
    return None if folder is None else check_writable_folder(folder)


def writable_any(out: Path | None) -> Path | None:
    """The callback of an option that names a file to write, or a folder for it.

    Raises:
        UserError: nothing could be written there.
    """
    return writable_folder(out) if out is not None and out.is_dir() else writable(out)


JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        dir_okay=False,
        callback=writable,
        help="Also write what is printed here, as JSON.",
    ),
]
Data = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="NAME|PATH",
        help="A data set's name, a folder of images (one sub-folder per identity, or no labels), a "
        ".csv, .tsv or .jsonl manifest or table of pairs, the folder of Market-1501 or "
        "DeepFashion2, IMDb-Face.csv, a .rec file, a folder of shards, or a .toml file that "
        "describes one of them.",
    ),
]
Model = Annotated[
    Path | None,
    typer.Option(
        "--model", metavar="DIR", help="A trained query network; the starter kit's if not given."
    ),
]
Gallery = Annotated[
    Path | None,
    typer.Option(
        "--gallery", metavar="DIR", help="A gallery model; the starter kit's if not given."
    ),
]
QueryModel = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="DIR|FILE",
        help="A query network: a folder, an .onnx file, or a .toml file that describes one; the "
        "starter kit's if not given.",
    ),
]
GalleryModel = Annotated[
    Path | None,
    typer.Option(
        "--gallery",
        metavar="DIR|FILE",
        help="A gallery model: a folder, an .onnx file, or a .toml file that describes one or a "
        "table of its embeddings; the starter kit's if not given.",
    ),
]
Index = Annotated[
    Path | None,
    typer.Option("--index", metavar="DIR", help="A gallery index; the starter kit's if not given."),
]
Unlabelled = Annotated[
    list[Path] | None,
    typer.Option(
        "--unlabelled",
        metavar="PATH",
        help="Images without labels to learn from too, by methods that need none; may be repeated. "
        "A folder with images at any depth, shards, a manifest, a .toml description or a gallery "
        "index. Copies of test and hold-out images are left out.",
    ),
]
GalleryImages = Annotated[
    bool,
    typer.Option(
        "--gallery-images",
        help="Learn from the gallery images of the test split and the hold-out too, without their "
        'identities. Figures are then of the protocol "gallery known".',
    ),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", help="Use N queries, evenly spaced over all."),
]
Latency = Annotated[
    str | None,
    typer.Option("--latency", metavar="TIME", help="The longest a query may take: 4ms or 850us."),
]
LatencyTable = Annotated[
    Path | None,
    typer.Option("--table", metavar="FILE", help="The latency table of the device."),
]
Seed = Annotated[
    int,
    typer.Option("--seed", metavar="N", help="The same seed reproduces the same result."),
]


Epochs = Annotated[
    int | None,
    typer.Option(
        "--epochs",
        metavar="N",
        help="Instead of the recipe's; warm-up and averaging keep their share of a shorter one.",
    ),
]
InputSize = Annotated[
    int | None,
    typer.Option(
        "--input-size",
        metavar="PX",
        help="Height and width of the images, instead of the recipe's or the architecture file's.",
    ),
]
LearningRate = Annotated[
    float | None,
    typer.Option("--lr", metavar="X", help="Peak learning rate, instead of the recipe's."),
]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", metavar="N", help="Images per step, instead of the recipe's."),
]
Augment = Annotated[
    str | None,
    typer.Option(
        "--augment",
        metavar="none|light|strong|FILE",
        help="Augmentation of the training images, instead of the recipe's; a .toml file changes "
        "single strengths of it.",
    ),
]


def recipe_option(names: Sequence[str], *, file: bool = False) -> Any:
    """The option `--recipe` with its choices.

    Args:
        names: of the recipes.
        file: whether a .toml file is accepted too.
    """
    also = "; or a .toml file, such as `edgecmp recipes show` prints" if file else ""
    return typer.Option(
        "--recipe",
        metavar="NAME|FILE" if file else "NAME",
        help=f"{', '.join(names)}{also}; see `edgecmp recipes`.",
    )


def help_text(summary: str, examples: Sequence[str], *details: str) -> str:
    """A command's help: what it does, examples to copy, then what else there is to know."""
    lines = "\n".join(f"  {example}" for example in examples)
    return "\n\n".join([summary, f"\b\nExamples:\n{lines}", *details])
