"""The options that several commands share, and the one form of their help texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from edgecmp.storage import check_writable, check_writable_folder

__all__ = [
    "Data",
    "Gallery",
    "GalleryModel",
    "Index",
    "JsonFile",
    "Model",
    "QueryModel",
    "Seed",
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
        help="A data set's name, a folder with one sub-folder per identity, a .csv, .tsv or .jsonl "
        "manifest, the folder of Market-1501 or DeepFashion2, IMDb-Face.csv, a .rec file, a folder "
        "of shards, or a .toml file that describes one of them.",
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
Seed = Annotated[
    int,
    typer.Option("--seed", metavar="N", help="The same seed reproduces the same result."),
]


def recipe_option(names: Sequence[str]) -> Any:
    """The option `--recipe` with its choices."""
    return typer.Option(
        "--recipe", metavar="NAME", help=f"{', '.join(names)}; see `edgecmp recipes`."
    )


def help_text(summary: str, examples: Sequence[str], *details: str) -> str:
    """A command's help: what it does, examples to copy, then what else there is to know."""
    lines = "\n".join(f"  {example}" for example in examples)
    return "\n\n".join([summary, f"\b\nExamples:\n{lines}", *details])
