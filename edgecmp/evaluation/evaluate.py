"""Evaluates a query network by retrieval, or by IJB-C's protocols if the data is IJB-C."""

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
    limit: int | None = None,
    results: str | Path | None = None,
) -> EvaluationReport | IjbcReport:
    """Measures M(g,g), M(q,q) and M(q,g) of one query network and one gallery model.

    Args:
        model: a query network: the folder of a bundle, an .onnx file or its .toml description;
            None: the starter kit's.
        gallery: a gallery model or, except for IJB-C, a table of its embeddings; None: the starter
            kit's.
        data: name or path of a data set; a folder in IJB-C's layout, or a .toml file that describes
            one, is evaluated by IJB-C's 1:1 and 1:N protocols.
        split: "test", or "validation" for the hold-out of searches; not for IJB-C.
        limit: number of queries, evenly spaced; all if None; not for IJB-C.
        results: file for the ranking under M(q,g), in the format of DeepFashion2's official
            evaluation.

    Raises:
        UserError: the two networks are not compatible, or the data cannot be read or does not have
            the split or the results.
    """
    ijbc = find_ijbc(data)
    if ijbc is None:
        return evaluate_retrieval(
            model, gallery=gallery, data=str(data), split=split, limit=limit, results=results
        )
    if results is not None:
        raise UserError(
            f"{data} is not DeepFashion2, and --results writes a file for its official evaluation.",
            "Omit --results.",
        )
    if limit is not None:
        raise UserError(f"{data} is IJB-C, whose protocols have fixed queries.", "Omit --limit.")
    if split != "test":
        raise UserError(
            f"{data} is IJB-C, which has no {split} split.", 'Evaluate it with split="test".'
        )
    if not isinstance(gallery, str | Path | None):
        raise UserError(
            "The gallery model for IJB-C is not given as a path.",
            "Give the path of its folder, .onnx file or .toml description.",
        )
    return evaluate_ijbc(ijbc, model, gallery=gallery)
