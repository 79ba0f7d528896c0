"""`edgecmp parity`: does the exported file retrieve what the server's network retrieves?

Real test queries are embedded by the file, with the file's own preprocessing and in each runtime
that loads it, and by the network that it was exported from. Both search the server's gallery index.
The compatibility rule M(q,g) > M(q,q) is checked after each stage: trained, lowered, quantised,
converted. If a file fails, the cause is searched for: its input is changed, and its layers are
compared with torch's. A file that cannot be opened fails, and the others are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgecmp import kit
from edgecmp.data import Retrieval, load_dataset
from edgecmp.errors import UserError
from edgecmp.evaluation.protocol_of import protocol_of
from edgecmp.export.formats.registry import targets
from edgecmp.export.parity.case import ParityCase, open_cases
from edgecmp.export.parity.report import ParityReport, refused_row
from edgecmp.export.parity.session import ParitySession
from edgecmp.export.parity.verdict import ENOUGH_QUERIES
from edgecmp.export.runtimes.remote import Machine
from edgecmp.gallery.index import GalleryIndex
from edgecmp.gallery.open import open_query
from edgecmp.networks.embed import Embedder
from edgecmp.plotting import try_draw
from edgecmp.storage import check_writable

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
        limit: number of queries, evenly spaced; all if None. The change of the top-10 accuracy
            then fails only if its whole interval is beyond the bound.
        machine: a remote machine in whose runtimes the files are run too.
        picture: path of a .png for the cosines and the changes of rank.
        seed: of the bootstrap.

    Raises:
        UserError: no file can be opened: each was changed since it was written, is not an edgecmp
            export, is of another network, or does not share gallery model and preprocessing with
            the index and the network; or an argument is wrong.
    """
    if not files:
        raise UserError("Parity needs at least one file.", "Name a file of `edgecmp export`.")
    if picture is not None and Path(picture).suffix != ".png":
        raise UserError(
            f"--picture must be a .png file (got {picture}).", "Use a name such as parity.png."
        )
    if picture is not None:
        check_writable(picture)
    missing = next((file for file in map(Path, files) if not file.exists()), None)
    if missing is not None:  # rather a typing error than a file that cannot be run
        raise UserError(f"{missing} does not exist.", "Write it with `edgecmp export`.")
    query = open_query(model or kit.path("query"))
    gallery = GalleryIndex.load(index or kit.path("index"))
    _check_width(query, gallery, index)
    cases, refused = _open_all([Path(file) for file in files], query, gallery, machine)
    whole = load_dataset(data).retrieval("test")
    task = whole.limited(limit)
    _check_gallery(gallery, task, data)
    sample = len(task.queries) < max(len(whole.queries), ENOUGH_QUERIES)
    session = ParitySession(query, gallery, task, cases, sample=sample, seed=seed)
    session.run()
    drawn = None
    if picture is not None:
        from edgecmp.export.parity.plot import draw_parity

        out = Path(picture)
        drawn = try_draw(lambda: draw_parity(out, session.result, session.drawn, task.queries_note))
    return ParityReport(
        rows=session.rows + refused,
        stages=session.stage_rows,
        model=query.name,
        index=str(index or kit.path("index")),
        data=data,
        queries=len(task.queries),
        all_queries=len(whole.queries),
        gallery=len(task.gallery),
        torch_top1=session.result.top1,
        torch_top10=session.result.top10,
        torch_tar=session.result.tar,
        protocol_name=protocol_of(query, task),
        queries_note=task.queries_note,
        picture=None if drawn is None else str(drawn),
    )


def _open_all(
    files: Sequence[Path], query: Embedder, gallery: GalleryIndex, machine: Machine | None
) -> tuple[list[ParityCase], list[dict[str, Any]]]:
    """The cases of the files that can be opened, and the rows of the others.

    Raises:
        UserError: of the first file, if none can be opened.
    """
    cases: list[ParityCase] = []
    refused: list[dict[str, Any]] = []
    errors: list[UserError] = []
    names = {target.suffix: target.name for target in targets().values()}
    for file in files:
        try:
            cases += open_cases(file, query, gallery, machine)
        except UserError as error:
            errors.append(error)
            refused.append(refused_row(file, names.get(file.suffix, ""), str(error)))
    if not cases:
        raise errors[0]
    return cases, refused


def _check_width(query: Embedder, gallery: GalleryIndex, index: str | Path | None) -> None:
    """Refuses an index whose embeddings have another number of values than the network's."""
    width = gallery.embeddings.shape[1]
    if query.embedding_dim != width:
        raise UserError(
            f"The embeddings of {query.name} have {query.embedding_dim} values, but those of the "
            f"index {index or kit.path('index')} have {width}.",
            "Name the index of the network's gallery model with --index.",
        )


def _check_gallery(gallery: GalleryIndex, task: Retrieval, data: str) -> None:
    if gallery.manifest.data["fingerprint"] != task.gallery.fingerprint:
        raise UserError(
            f"The gallery index was not built from the gallery images of {data!r}.",
            "Name their index with --index, or build one with `edgecmp gallery build`.",
        )
