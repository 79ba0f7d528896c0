"""Evaluation of a query network on whatever data is named: retrieval, or IJB-C's protocols."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edgecmp.data.ijbc import find_ijbc
from edgecmp.errors import UserError
from edgecmp.evaluation.ijbc import IjbcReport, evaluate_ijbc
from edgecmp.evaluation.retrieval import EvaluationReport, evaluate_retrieval
from edgecmp.gallery.source import Gallery

__all__ = ["evaluate"]


def evaluate(
    model: str | Path | None = None,
    *,
    gallery: Gallery = None,
    data: str | Path = "emoji",
    split: Literal["validation", "test"] = "test",
    results: str | Path | None = None,
) -> EvaluationReport | IjbcReport:
    """Measures one query network against one gallery model: M(g,g), M(q,q) and M(q,g).

    Args:
        model: a query network: a bundle's folder, an .onnx file or its .toml description; the
            starter kit's by default.
        gallery: a gallery model or, except on IJB-C, a table of its embeddings; the starter kit's
            by default.
        data: a data set's name or path; a folder in IJB-C's layout, or a .toml file that describes
            one, is evaluated by that set's 1:1 and 1:N protocols.
        split: "test", or "validation" for the hold-out that searches use; not for IJB-C.
        results: a file for the ranking under M(q,g), as DeepFashion2's official evaluation reads
            it.

    Raises:
        UserError: the networks do not belong together, or the data cannot be read or lacks what
            was asked for.
    """
    ijbc = find_ijbc(data)
    if ijbc is None:
        return evaluate_retrieval(
            model, gallery=gallery, data=str(data), split=split, results=results
        )
    if results is not None:
        raise UserError(
            f"{data} is not DeepFashion2, so there are no official results to write.",
            "Leave out --results.",
        )
    if split != "test":
        raise UserError(
            f"{data} is IJB-C, which has no {split} split.", "Evaluate its test protocols."
        )
    if not isinstance(gallery, str | Path | None):
        raise UserError(
            "IJB-C is evaluated with gallery models that are named by their path.",
            "Name the folder, .onnx file or .toml description of the gallery model.",
        )
    return evaluate_ijbc(ijbc, model, gallery=gallery)
