"""Sample pictures of a run: test queries, what the server finds for each, what the phone finds.

The samples are evenly spaced over the test queries, so that they are not chosen by their results.
Both sides read the same files: PNG, of at most `LONGEST` pixels on the longer side.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgecmp.data.image_files import read_image
from edgecmp.gallery.index import GalleryIndex
from edgecmp.road.survey import Survey
from edgecmp.storage import write_atomic

__all__ = ["TOP", "Found", "Sample", "found_samples", "write_samples"]

COUNT = 12
TOP = 3
"""Gallery images that are shown for each."""
LONGEST = 1024
THUMBNAIL = 176
"""Pixels of a picture in the report; twice the size at which it is shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One gallery image that was found.

    Attributes:
        picture: a JPEG as a data URL.
        identity: its own.
        right: whether it is the query's.
        score: cosine.
    """

    picture: str
    identity: str
    right: bool
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One query.

    Attributes:
        picture: a JPEG as a data URL.
        identity: its own.
        server: what the gallery model finds, best first.
        phone: what the exported file finds.
    """

    picture: str
    identity: str
    server: tuple[Found, ...]
    phone: tuple[Found, ...]


def _chosen(survey: Survey) -> list[int]:
    """The places of the samples among the test queries."""
    count = len(survey.task.queries)
    places = np.linspace(0, count - 1, min(COUNT, count)).round()
    return [int(place) for place in np.unique(places)]


def write_samples(survey: Survey, folder: Path) -> list[str]:
    """Writes the samples as PNG files and returns their paths.

    Raises:
        UserError: one cannot be read or written.
    """
    queries = survey.task.queries
    paths = []
    for number, place in enumerate(_chosen(survey), start=1):
        image = queries.source.image(int(queries.rows[place]))
        image.thumbnail((LONGEST, LONGEST))
        content = io.BytesIO()
        image.save(content, format="PNG")
        paths.append(str(write_atomic(folder / f"{number:02d}.png", content.getvalue())))
    return paths


def found_samples(
    survey: Survey, index: GalleryIndex, paths: Sequence[str], phone: Sequence[Mapping[str, Any]]
) -> list[Sample]:
    """The samples with what was found for them.

    Args:
        survey: of the run.
        index: the server's.
        paths: the files of `write_samples`.
        phone: the rows of `edgecmp find` for these files.

    Raises:
        UserError: an image cannot be read.
    """
    queries, prepare = survey.task.queries, survey.model.preprocessing
    images = [read_image(Path(path)) for path in paths]
    embedded = survey.model.embed(np.stack([prepare.fit(image) for image in images]))
    scores, places = index.search(embedded, TOP)
    place_of = {key: place for place, key in enumerate(index.keys)}
    samples = []
    for number, (path, query) in enumerate(zip(paths, _chosen(survey), strict=True)):
        identity = queries.identity_names[queries.identities[query]]
        mine = [row for row in phone if row["photo"] == path]

        def found(place: int, score: float, identity: str = identity) -> Found:
            name = index.identity_names[index.identities[place]]
            gallery = survey.task.gallery
            picture = gallery.source.image(int(gallery.rows[place]))
            return Found(
                picture=_data_url(picture),
                identity=name,
                right=name == identity,
                score=float(score),
            )

        samples.append(
            Sample(
                picture=_data_url(images[number]),
                identity=identity,
                server=tuple(map(found, places[number].tolist(), scores[number].tolist())),
                phone=tuple(found(place_of[row["image"]], row["score"]) for row in mine),
            )
        )
    return samples


def _data_url(image: Image.Image) -> str:
    """A small JPEG on white, as a data URL."""
    small = image.convert("RGBA")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    white = Image.new("RGBA", small.size, "white")
    white.alpha_composite(small)
    content = io.BytesIO()
    white.convert("RGB").save(content, format="JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
