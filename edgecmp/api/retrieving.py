"""The gallery: indexing it, searching it by photos, and measuring how well that works."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from edgecmp.api.paths import PathLike
    from edgecmp.evaluation.ijbc import IjbcReport
    from edgecmp.evaluation.retrieval import EvaluationReport
    from edgecmp.export.find import FindReport
    from edgecmp.gallery.index import GalleryIndex
    from edgecmp.gallery.source import Gallery

__all__ = ["build_index", "evaluate", "find"]


def build_index(
    *, out: PathLike, model: PathLike | None = None, data: str = "emoji"
) -> GalleryIndex:
    """Embeds the gallery images of a data set with the gallery model and writes the index.

    Args:
        out: folder for the index.
        model: a gallery model's folder, .onnx file or .toml description; the starter kit's by
            default.
        data: as `load_data` takes it; the gallery of its test split is indexed.

    Raises:
        UserError: the model or the data cannot be read, or an embedding is not finite.
    """
    from edgecmp import kit
    from edgecmp.data import load_dataset
    from edgecmp.gallery.index import GalleryIndex
    from edgecmp.gallery.open import open_gallery

    network = open_gallery(model or kit.path("gallery"))
    return GalleryIndex.build(network, load_dataset(data).retrieval("test").gallery, out)


def evaluate(
    model: PathLike | None = None,
    *,
    gallery: Gallery = None,
    data: str = "emoji",
    split: Literal["validation", "test"] = "test",
    limit: int | None = None,
    results: PathLike | None = None,
) -> EvaluationReport | IjbcReport:
    """Measures a query network alone and against the gallery: M(g,g), M(q,q) and M(q,g).

    Args:
        model: a query network's folder, .onnx file or .toml description; the starter kit's by
            default.
        gallery: as in `train_supernet`.
        data: as `load_data` takes it; a folder in IJB-C's layout, or a .toml file that describes
            one, is evaluated by that set's 1:1 and 1:N protocols.
        split: "test", or "validation" for the hold-out that searches use.
        limit: number of queries, evenly spaced; all by default.
        results: a file for the ranking, as DeepFashion2's official evaluation reads it.

    Raises:
        UserError: the networks do not belong together, or the data cannot be read.
    """
    from edgecmp.evaluation.evaluate import evaluate as run

    return run(model, gallery=gallery, data=data, split=split, limit=limit, results=results)


def find(
    photos: Sequence[PathLike],
    *,
    model: PathLike | None = None,
    index: PathLike | None = None,
    top: int = 5,
    data: str | None = None,
    picture: PathLike | None = None,
) -> FindReport:
    """Finds the gallery images that are most similar to photos, as the phone's app would.

    Args:
        photos: image files; they are prepared by the model's own preprocessing.
        model: a query network: an exported .tflite, .onnx or .mlpackage (embedded in its runtime),
            a folder, or a .toml description; the starter kit's by default.
        index: folder of a gallery index; the starter kit's by default.
        top: how many matches per photo.
        data: where the gallery's images are, for their paths and the picture; where the index was
            built from by default.
        picture: a .png that shows each photo beside its matches.

    Raises:
        UserError: a photo cannot be read, the model does not belong to the index, or a picture is
            asked for and the gallery's images are not to be found.
    """
    from edgecmp.export.find import find as run

    return run(photos, model=model, index=index, top=top, data=data, picture=picture)
