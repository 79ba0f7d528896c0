"""`edgecmp run`: your gallery, your photos, one command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from edgecmp.cli.options import (
    Data,
    GalleryImages,
    GalleryModel,
    JsonFile,
    Latency,
    LatencyTable,
    Seed,
    Unlabelled,
    help_text,
    writable_folder,
)
from edgecmp.report import finish, on_interrupt

__all__ = ["HELP", "run"]

HELP = help_text(
    "Make proven files for phones from your gallery and photos.",
    (
        "edgecmp run --gallery gallery.onnx --data photos/ --budget 100M --time 30m "
        "--out runs/mine",
        "edgecmp run --gallery gallery.onnx --data photos/ --latency 4ms --table phone.json "
        "--out runs/phone",
        "edgecmp run --data photos/ --time 10m --skip bench --out runs/kit",
    ),
    "Looks at the gallery model and the photos, measures this machine for a few seconds, and "
    "prints its plan. Then it builds the index, adapts a supernet, searches an architecture, "
    "compares the best by short trainings, trains the query network, evaluates it, exports it as "
    "TensorFlow Lite, ONNX and Core ML, proves each file in its runtime, measures latencies, and "
    "writes report.html, which shows queries with what the server finds and the phone finds.",
    "Each station is a command of edgecmp, printed before it runs. If the time is short, the "
    "starter kit's architecture replaces the search, and the training is short; only what no road "
    "can do without takes longer than --time.",
    "If the run is interrupted, rerun the command: finished stations are not repeated, and the "
    "time already spent counts. Exit code 1 if a file is not proven.",
)


def run(
    context: typer.Context,
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", callback=writable_folder, help="Folder for everything."
        ),
    ],
    gallery: GalleryModel = None,
    data: Data = "emoji",
    budget: Annotated[
        str, typer.Option("--budget", metavar="FLOPS", help="At 224 x 224 by fvcore's rules.")
    ] = "100M",
    latency: Latency = None,
    table: LatencyTable = None,
    time: Annotated[
        str, typer.Option("--time", metavar="TIME", help="For everything: 90s, 30m, 1h30m.")
    ] = "30m",
    input_size: Annotated[
        int | None,
        typer.Option(
            "--input-size", metavar="PX", help="Of the phone's images; chosen if not given."
        ),
    ] = None,
    unlabelled: Unlabelled = None,
    gallery_images: GalleryImages = False,
    no_adapter: Annotated[
        bool,
        typer.Option(
            "--no-adapter",
            help="Let the network learn the gallery model's embeddings as they are, even where "
            "other queries find more, so that thresholds on similarities stay.",
        ),
    ] = False,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            "--skip",
            metavar="STATION",
            help="Leave out supernet, search, finalists, parity or bench; may be repeated.",
        ),
    ] = None,
    seed: Seed = 0,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.road.run.run_road`."""
    from edgecmp.road.duration import parse_time
    from edgecmp.road.run import run_road
    from edgecmp.road.survey import Request

    request = Request(
        gallery=gallery,
        data=data,
        budget=budget,
        seconds=parse_time(time),
        out=out,
        latency=latency,
        table=table,
        input_size=input_size,
        unlabelled=tuple(unlabelled or ()),
        gallery_images=gallery_images,
        adapter=not no_adapter,
        skip=frozenset(skip or ()),
        seed=seed,
    )
    with on_interrupt(f"What is done is kept in {out}: rerun the command to go on."):
        report = run_road(request, partial(_command, context.find_root().command))
    finish(report, json_file)
    if not report.proven and "parity" not in request.skip:
        raise typer.Exit(1)


def _command(edgecmp: Any, arguments: Sequence[str]) -> int:
    """Runs a command in this process and returns its exit code.

    Args:
        edgecmp: the command line as a whole.
        arguments: what follows `edgecmp`; artefacts name them as the command that made them.
    """
    before = sys.argv
    sys.argv = [before[0], *arguments]
    try:
        code = edgecmp.main(args=list(arguments), prog_name="edgecmp", standalone_mode=False)
    finally:
        sys.argv = before
    return code if isinstance(code, int) else 0
