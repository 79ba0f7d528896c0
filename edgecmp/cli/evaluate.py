"""`edgecmp eval`: how well queries find their identity in the gallery."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecmp.cli.options import Data, GalleryModel, JsonFile, QueryModel, help_text
from edgecmp.report import finish, key_values, on_interrupt

if TYPE_CHECKING:
    from edgecmp.data.ijbc import IjbcDescription

__all__ = ["HELP", "evaluate"]

HELP = help_text(
    "Evaluate a query network alone and against the gallery.",
    (
        "edgecmp eval",
        "edgecmp eval --model runs/query --json eval.json",
        "edgecmp eval --model runs/query --gallery runs/gallery --data photos/",
        "edgecmp eval --model runs/query --gallery runs/gallery --data IJBC/",
        "edgecmp eval --model query.onnx --gallery gallery.toml --data photos/",
        "edgecmp eval --model runs/query --data DeepFashion2/ --results found.json",
    ),
    "On the test split, whose identities no network saw. Protocols: "
    "qg is the heterogeneous one (the query network's queries in the gallery model's "
    "gallery); qq and gg use one network for both. Shares are in percent.",
    "A folder in IJB-C's layout (loose_crop/ and meta/), or a .toml file that describes one, is "
    "evaluated by that set's 1:1 and 1:N protocols (see docs/faces.md).",
)


def evaluate(
    model: QueryModel = None,
    gallery: GalleryModel = None,
    data: Data = "emoji",
    results: Annotated[
        Path | None,
        typer.Option(
            "--results",
            metavar="FILE",
            dir_okay=False,
            help="Also write what was found, as DeepFashion2's official evaluation reads it.",
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.evaluation.retrieval.evaluate`."""
    from edgecmp.data.ijbc import find_ijbc

    if (ijbc := find_ijbc(data)) is not None:
        _evaluate_ijbc(ijbc, model, gallery, json_file)
        return
    with on_interrupt("Nothing was written: run the same command again."):
        from edgecmp.evaluation.retrieval import evaluate_retrieval as run

        report = run(model, gallery=gallery, data=data, results=results)
    wrote = [] if results is None else [("what was found", results)]
    finish(report, json_file, wrote=wrote)
    rule = "holds" if report.compatible else "does not hold"
    print(f"The compatibility rule M(q,g) > M(q,q) {rule} at top-10.")


def _evaluate_ijbc(
    data: IjbcDescription, model: Path | None, gallery: Path | None, json_file: Path | None
) -> None:
    """Runs `edgecmp.evaluation.ijbc.evaluate_ijbc`."""
    kept = "Run the same command again."
    if data.cache is not None:
        kept = f"What was embedded is kept in {data.cache}: run the same command again."
    with on_interrupt(kept):
        from edgecmp.evaluation.ijbc import COLUMNS, evaluate_ijbc

        report = evaluate_ijbc(data, model, gallery=gallery)
    finish(report, json_file, columns=COLUMNS)
    print(key_values({**report.forms, "sizes": report.sizes}))
    rule = "holds" if report.compatible else "does not hold"
    print(f"The compatibility rule M(q,g) > M(q,q) {rule} at TPIR@FPIR=1e-1.")
