"""`edgecmp parity`: does the exported file retrieve what the server's network retrieves?

Real test queries are embedded by the file, with the file's own preprocessing and in each runtime
that loads it, and by the network that it was exported from. Both search the server's gallery index.
The compatibility rule M(q,g) > M(q,q) is checked after each stage: trained, lowered, quantised,
converted. If a file fails, the cause is searched for: its input is changed, and its layers are
compared with torch's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgecmp import kit
from edgecmp.data import Retrieval, load_dataset
from edgecmp.errors import UserError
from edgecmp.export.parity.case import open_cases
from edgecmp.export.parity.report import ParityReport
from edgecmp.export.parity.session import ParitySession
from edgecmp.export.runtimes.remote import Machine
from edgecmp.gallery.index import GalleryIndex
from edgecmp.gallery.open import open_query

__all__ = ["ParityReport", "parity"]


def parity(
    files: Sequence[str | Path],
    *,
    model: str | Path | None = None,
    index: str | Path | None = None,
    data: str = "emoji",
    limit: int | None = None,
    machine: Machine | None = None,
    picture: str | Path | None = None,
    seed: int = 0,
) -> ParityReport:
    """Compares exported files with the network that they were exported from, on real queries.

    Args:
        files: exported files of one query network, or descriptions (.toml) of external ONNX files.
        model: that network, as `open_query` takes it; the starter kit's if None.
        index: folder of the server's gallery index; the starter kit's if None.
        data: registry name, folder or manifest; its test split has the queries.
        limit: number of queries, evenly spaced; all if None. With fewer than 1000, one query
            changes the top-10 accuracy by more than the bound of fp16.
        machine: a remote machine in whose runtimes the files are run too.
        picture: path of a .png for the cosines and the changes of rank.
        seed: of the bootstrap.

    Raises:
        UserError: a file is truncated, damaged, not an edgecmp export or of another network; or
            the file, the network and the index do not share gallery model and preprocessing.
    """
    if not files:
        raise UserError("Parity needs at least one file.", "Name a file of `edgecmp export`.")
    if picture is not None and Path(picture).suffix != ".png":
        raise UserError(
            f"--picture must be a .png file (got {picture}).", "Use a name such as parity.png."
        )
    query = open_query(model or kit.path("query"))
    gallery = GalleryIndex.load(index or kit.path("index"))
    cases = [case for file in files for case in open_cases(Path(file), query, gallery, machine)]
    task = _limited(load_dataset(data).retrieval("test"), limit)
    _check_gallery(gallery, task, data)
    session = ParitySession(query, gallery, task, cases, seed=seed)
    session.run()
    drawn = None
    if picture is not None:
        from edgecmp.export.parity.plot import draw_parity

        drawn = str(draw_parity(Path(picture), session.result, session.drawn))
    return ParityReport(
        rows=session.rows,
        stages=session.stage_rows,
        model=query.name,
        index=str(index or kit.path("index")),
        data=data,
        queries=len(task.queries),
        gallery=len(task.gallery),
        torch_top1=session.result.top1,
        torch_top10=session.result.top10,
        torch_tar=session.result.tar,
        picture=drawn,
    )


def _limited(task: Retrieval, limit: int | None) -> Retrieval:
    """The task with `limit` of its queries, evenly spaced."""
    if limit is None or limit >= len(task.queries):
        return task
    if limit < 1:
        raise UserError(
            f"--limit must be at least 1 (got {limit}).", "Leave it out to use all queries."
        )
    chosen = np.linspace(0, len(task.queries) - 1, limit).round().astype(np.int64)
    return Retrieval(queries=task.queries.subset(chosen), gallery=task.gallery)


def _check_gallery(gallery: GalleryIndex, task: Retrieval, data: str) -> None:
    if gallery.manifest.data["fingerprint"] != task.gallery.fingerprint:
        raise UserError(
            f"The gallery index was not built from the gallery images of {data!r}.",
            "Name their index with --index, or build one with `edgecmp gallery build`.",
        )
