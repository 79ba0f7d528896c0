"""`edgecmp eval`: how well queries find their identity in the gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from edgecmp.cli.options import Data, GalleryModel, JsonFile, QueryModel, help_text
from edgecmp.cli.output import finish, key_values, on_interrupt

if TYPE_CHECKING:
    from edgecmp.evaluate import EvaluationReport
    from edgecmp.evaluate_ijbc import IjbcReport

__all__ = ["HELP", "evaluate"]

HELP = help_text(
    "Evaluate a query network alone and against the gallery.",
    (
        "edgecmp eval",
        "edgecmp eval --model runs/query --json eval.json",
        "edgecmp eval --model runs/query --gallery runs/gallery --data photos/",
        "edgecmp eval --model query.onnx --gallery gallery.toml --data photos/",
        "edgecmp eval --model runs/query --gallery runs/gallery --data IJBC/",
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
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.evaluate.evaluate`, or `evaluate_ijbc` on data in IJB-C's layout."""
    report: EvaluationReport | IjbcReport
    columns: Sequence[str] = ()
    notes: Mapping[str, object] = {}
    with on_interrupt("No result was written: run the same command again."):
        from edgecmp.data.ijbc import find_ijbc

        ijbc = find_ijbc(data)
        if ijbc is None:
            from edgecmp.evaluate import evaluate as run

            report = run(model, gallery=gallery, data=data)
            metric = "top-10"
        else:
            from edgecmp.evaluate_ijbc import COLUMNS, evaluate_ijbc

            report = evaluate_ijbc(ijbc, model, gallery=gallery)
            metric, columns = "TPIR@FPIR=1e-1", COLUMNS
            notes = {**report.forms, "sizes": report.sizes}
    finish(report, json_file, columns=columns)
    if notes:
        print(key_values(notes))
    rule = "holds" if report.compatible else "does not hold"
    print(f"The compatibility rule M(q,g) > M(q,q) {rule} at {metric}.")
