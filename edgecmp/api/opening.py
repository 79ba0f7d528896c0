"""Opening and inspecting artefacts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgecmp.errors import UserError

if TYPE_CHECKING:
    from edgecmp.api.paths import PathLike
    from edgecmp.artefacts.bundle import GalleryBundle, QueryBundle, SupernetBundle
    from edgecmp.artefacts.latency_table import LatencyTable
    from edgecmp.data.dataset import Dataset
    from edgecmp.gallery.index import GalleryIndex
    from edgecmp.inspection import Inspection, InspectReport, Unreadable
    from edgecmp.networks.embed import Embedder
    from edgecmp.networks.form import Form

__all__ = ["inspect", "load", "load_data"]


def load(
    path: PathLike,
) -> GalleryBundle | SupernetBundle | QueryBundle | GalleryIndex | LatencyTable | Form | Embedder:
    """Opens an artefact of edgecmp, whichever it is.

    Args:
        path: a gallery model, supernet, query network or gallery index (folders), a search's folder
            or an architecture's .json (an `Architecture`, `Baseline` or `Pruned`, which `build()`s
            its network), a latency table's .json, an exported .tflite, .onnx or .mlpackage (opened
            in the first runtime of this machine that loads it), or an .onnx or .toml of a network
            that was made with other tools.

    Raises:
        UserError: there is nothing at `path` that edgecmp knows, or it is truncated or changed.
    """
    from edgecmp.artefacts.kind import artefact_kind

    place = Path(path)
    kind = artefact_kind(place)
    if kind == "model file":
        from edgecmp.export.runtimes.exported_model import open_embedder

        return open_embedder(place)
    if kind == "description":
        from edgecmp.gallery.open import open_described

        return open_described(place)
    if kind == "latency table":
        from edgecmp.artefacts.latency_table import LatencyTable

        return LatencyTable.load(place)
    if kind in ("architecture", "search"):
        from edgecmp.networks.form import load_form

        return load_form(place)
    if kind == "index":
        from edgecmp.gallery.index import GalleryIndex

        return GalleryIndex.load(place)
    if kind == "shards":
        raise UserError(
            f"{path} holds images in shards.", f"Open them by edgecmp.load_data({str(path)!r})."
        )
    from edgecmp.artefacts.bundle import GalleryBundle, QueryBundle, SupernetBundle

    if kind == "supernet":
        return SupernetBundle.load(place)
    return QueryBundle.load(place) if kind == "query" else GalleryBundle.load(place)


def load_data(name_or_path: PathLike) -> Dataset:
    """Opens a data set: training, validation and test split.

    Args:
        name_or_path: a name of `list_datasets`, a folder of images with one sub-folder per identity
            or without labels, a .csv, .tsv or .jsonl manifest or table of pairs, the folder of
            Market-1501 or DeepFashion2, IMDb-Face.csv, a .rec file or its folder, a folder of
            shards, or a .toml file that describes one of them.

    Raises:
        UserError: there is no such data set, or it cannot be read.
    """
    from edgecmp.data import load_dataset

    return load_dataset(name_or_path)


def inspect(
    paths: Sequence[PathLike] | PathLike, *, index: PathLike | None = None
) -> InspectReport:
    """What files and folders are, what they were made from, and whether they are complete.

    A path that cannot be read has its error in the report.

    Args:
        paths: artefacts of edgecmp, and .tflite, .onnx and .mlpackage files of other tools.
        index: the gallery index that they should belong to; the starter kit's if None.
    """
    from edgecmp.inspection import InspectReport, Unreadable

    given = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    found: list[Inspection | Unreadable] = []
    for path in given:
        try:
            found.append(_inspected(path, None if index is None else Path(index)))
        except UserError as error:
            found.append(Unreadable(path=str(path), error=str(error)))
    return InspectReport(artefacts=tuple(found))


def _inspected(path: Path, index: Path | None) -> Inspection:
    """What lies at one path.

    Raises:
        UserError: it cannot be read, or is not an artefact of edgecmp.
    """
    from edgecmp import inspection
    from edgecmp.artefacts.kind import artefact_kind

    kind = artefact_kind(path)
    if kind == "model file":
        from edgecmp.export.inspect import inspect_export

        return inspect_export(path, index)
    if kind == "description":
        from edgecmp.gallery.embedding_table import describes_table

        if describes_table(path):
            return inspection.inspect_table(path, index)
        from edgecmp.export.inspect import inspect_description

        return inspect_description(path, index)
    if kind == "search":
        from edgecmp.search.results.inspect import inspect_search

        return inspect_search(path)
    if kind == "latency table":
        from edgecmp.export.fingerprint import lowering_fingerprint

        return inspection.inspect_latency_table(path, lowering_fingerprint())
    if kind == "index":
        return inspection.inspect_index(path)
    if kind == "shards":
        return inspection.inspect_shards(path)
    if kind == "architecture":
        file = path / "architecture.json" if path.is_dir() else path
        return inspection.inspect_architecture(file)
    return inspection.inspect_bundle(path, index)
