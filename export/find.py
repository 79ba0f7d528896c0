"""`edgecmp find`: photos in, the most similar gallery images out, as an app on a phone does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp import kit
from edgecmp.data import ImageSet
from edgecmp.data.image_files import read_image
from edgecmp.errors import UserError
from edgecmp.export.find_plot import Match, draw_matches
from edgecmp.export.runtimes.exported_model import ExportedModel, open_embedder
from edgecmp.gallery.index import GalleryIndex
from edgecmp.gallery.index_images import images_of_index
from edgecmp.networks.embed import Embedder
from edgecmp.plotting import try_draw
from edgecmp.report import Report
from edgecmp.storage import check_writable

__all__ = ["FindReport", "find"]


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class FindReport(Report):
    """The most similar gallery images of each photo.

    Attributes:
        rows: per photo and match, best first: "photo", "rank", "identity", "image" (its id in the
            index), "score" (cosine) and "path" (of its file; None where the gallery's images are
            not files of this machine).
        model: the query network.
        runtime: that embedded the photos, with its version.
        index: the gallery index.
        picture: where it was drawn, if it was asked for.
    """

    rows: list[dict[str, Any]]
    model: str
    runtime: str
    index: str
    picture: Path | None

    def heading(self) -> str:
        """Who found them where."""
        return f"{self.model} in {self.runtime}, gallery {self.index}"

    def written(self) -> dict[str, Path]:
        """The picture."""
        return {} if self.picture is None else {"the picture": self.picture}

    def to_dict(self) -> dict[str, Any]:
        """What `edgecmp find --json` writes."""
        return {
            "rows": self.rows,
            "model": self.model,
            "runtime": self.runtime,
            "index": self.index,
        }


def find(
    photos: Sequence[str | Path],
    *,
    model: str | Path | None = None,
    index: str | Path | None = None,
    top: int = 5,
    data: str | None = None,
    picture: str | Path | None = None,
) -> FindReport:
    """Searches a gallery index for the images most similar to photos.

    Args:
        photos: image files.
        model: a query network, as `open_embedder` takes it; the starter kit's by default.
        index: folder of a gallery index; the starter kit's by default.
        top: matches per photo.
        data: where the gallery's images are; what the index was built from by default.
        picture: a .png that shows each photo beside its matches.

    Raises:
        UserError: a photo cannot be read, the model does not belong to the index, or a picture is
            asked for and the gallery's images cannot be found.
    """
    _check_arguments(photos, top, picture)
    network = open_embedder(Path(model or kit.path("query")))
    folder = Path(index or kit.path("index"))
    gallery = GalleryIndex.load(folder)
    _check_gallery(network, gallery, folder)
    images = [read_image(Path(photo)) for photo in photos]
    prepared = np.stack([network.preprocessing.fit(image) for image in images])
    scores, places = gallery.search(network.embed(prepared), top)
    stored = images_of_index(gallery.manifest, data, required=picture is not None)
    rows = [
        {
            "photo": str(photo),
            "rank": rank,
            "identity": gallery.identity_names[gallery.identities[place]],
            "image": gallery.keys[place],
            "score": round(float(score), 6),
            "path": _path(stored, int(place)),
        }
        for photo, found, similar in zip(photos, places, scores, strict=True)
        for rank, (place, score) in enumerate(zip(found, similar, strict=True), start=1)
    ]
    drawn = None
    if picture is not None and stored is not None:
        out, source = Path(picture), stored
        names = [Path(photo).name for photo in photos]
        drawn = try_draw(lambda: draw_matches(out, names, images, _matches(source, rows, places)))
    return FindReport(
        rows=rows,
        model=network.name,
        runtime=network.runtime if isinstance(network, ExportedModel) else "PyTorch",
        index=str(folder),
        picture=drawn,
    )


def _matches(
    stored: ImageSet, rows: Sequence[dict[str, Any]], places: NDArray[np.integer[Any]]
) -> list[Match]:
    """The gallery images of the rows, for the picture."""
    return [
        Match(
            image=stored.source.image(int(stored.rows[place])),
            identity=row["identity"],
            score=row["score"],
        )
        for row, place in zip(rows, places.flat, strict=True)
    ]


def _check_arguments(photos: Sequence[str | Path], top: int, picture: str | Path | None) -> None:
    if not photos:
        raise UserError("There is no photo to search for.", "Name one or more image files.")
    if top < 1:
        raise UserError(f"--top must be at least 1 (got {top}).", "Use --top 5.")
    if picture is not None and Path(picture).suffix != ".png":
        raise UserError(
            f"--picture must be a .png file (got {picture}).", "Use a name such as found.png."
        )
    if picture is not None:
        check_writable(picture)


def _check_gallery(network: Embedder, gallery: GalleryIndex, folder: Path) -> None:
    """Refuses a query network that is compatible with another gallery model."""
    if network.gallery_sha256 not in (None, gallery.manifest.gallery_sha256):
        raise UserError(
            f"{network.name} was trained for another gallery model than the one that built the "
            f"index {folder}.",
            "Name the index of that model with --index, or build one with `edgecmp gallery build`.",
        )
    width = gallery.embeddings.shape[1]
    if network.embedding_dim != width:
        raise UserError(
            f"The embeddings of {network.name} have {network.embedding_dim} values, but those of "
            f"the index {folder} have {width}.",
            "Name the index of the network's gallery model with --index.",
        )


def _path(images: ImageSet | None, place: int) -> str | None:
    """The file of a gallery image, if it is one."""
    if images is None:
        return None
    file = images.source.file(int(images.rows[place]))
    return None if file is None else str(file)
