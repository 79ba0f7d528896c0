"""`edgecmp export`: one file for one device runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.choices import TARGETS
from edgecmp.cli.options import JsonFile, Model, help_text, writable_any
from edgecmp.report import finish, on_interrupt

__all__ = ["HELP", "export"]

HELP = help_text(
    "Export a query network as TensorFlow Lite, Core ML or ONNX.",
    (
        "edgecmp export --target tflite --out query.tflite",
        "edgecmp export --target tflite --precision int8 --input image --out query.tflite",
        "edgecmp export --target coreml --precision fp16 --system iOS16 --out query.mlpackage",
        "edgecmp export --target onnx --model runs/query --out query.onnx",
    ),
    "The file carries its architecture, its preprocessing and the hash of the gallery model that "
    "it is compatible with. Prove it with `edgecmp parity`. Needs the extra: "
    "pip install 'edgecmp[export]'.",
)


def export(
    target: Annotated[str, typer.Option("--target", metavar="|".join(TARGETS), help="The format.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FILE", callback=writable_any, help="A file, or a folder for it."
        ),
    ],
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            metavar="NAME",
            help="fp32, fp16, int8-weights; tflite: int8; coreml: palette8, palette6.",
        ),
    ] = "fp32",
    input: Annotated[
        str,
        typer.Option(
            "--input",
            metavar="tensor|image",
            help="tensor: normalised float32 values; image: 8-bit RGB pixels, normalised inside.",
        ),
    ] = "tensor",
    model: Model = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME|PATH",
            help="Images for calibration; the network's training data if not given.",
        ),
    ] = None,
    system: Annotated[
        str | None,
        typer.Option(
            "--system",
            metavar="NAME",
            help="Core ML: the oldest system that must run it, iOS15 to iOS18.",
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.export`."""
    from edgecmp import api

    with on_interrupt(f"{out} was not written: rerun the command."):
        report = api.export(
            target,
            out=out,
            model=model,
            precision=precision,
            input=input,
            data=data,
            system=system,
        )
    finish(report, json_file)
