"""`edgecmp find`: photos in, the most similar gallery images out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.options import Index, JsonFile, help_text, writable
from edgecmp.report import finish, on_interrupt

__all__ = ["HELP", "find"]

HELP = help_text(
    "Find the gallery images that are most similar to photos. This is what an app on a phone does.",
    (
        "edgecmp find photo.jpg",
        "edgecmp find photo.jpg --model query.tflite --index runs/index --top 5",
        "edgecmp find a.jpg b.jpg --model runs/query --index runs/index --picture found.png",
    ),
    "Each photo is decoded, prepared by the model's own preprocessing, embedded (an exported file "
    "in its real runtime) and searched in the index. Prints identity, image id, cosine and, where "
    "the gallery's images are files on this machine, their paths.",
)


def find(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTOS", help="Image files.")],
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            metavar="FILE|DIR",
            help="A query network: an exported .tflite, .onnx or .mlpackage, a folder, or a .toml "
            "file that describes an ONNX file; the starter kit's if not given.",
        ),
    ] = None,
    index: Index = None,
    top: Annotated[int, typer.Option("--top", metavar="N", help="Matches per photo.")] = 5,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME|PATH",
            help="The data set that the index was built from, if it has moved since.",
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE",
            dir_okay=False,
            callback=writable,
            help="Draw each photo beside its matches into this .png.",
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.find`."""
    from edgecmp import api

    with on_interrupt("Nothing was written: rerun the command."):
        report = api.find(photos, model=model, index=index, top=top, data=data, picture=picture)
    finish(report, json_file)
