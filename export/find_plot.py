"""The picture of `edgecmp find`: each photo beside the gallery images that were found for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from edgecmp.plotting import ACCENT, INK, MUTED, new_figure, save_figure

__all__ = ["Match", "draw_matches"]

CELL = 1.5
"""Inches of an image's side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """A gallery image that was found.

    Attributes:
        image: the picture itself.
        identity: who or what is on it.
        score: cosine with the photo.
    """

    image: Image.Image
    identity: str
    score: float


def draw_matches(
    path: Path,
    names: Sequence[str],
    photos: Sequence[Image.Image],
    matches: Sequence[Match],
) -> Path:
    """Draws one row per photo: the photo in a frame, then its matches, best first.

    Args:
        path: the .png to write.
        names: of the photos.
        photos: as they were read.
        matches: of the first photo, best first, then of the next; as many per photo.
    """
    each = len(matches) // len(photos)
    columns = 1 + each
    figure = new_figure(CELL * columns + 0.3, (CELL + 0.45) * len(photos))
    panels = figure.subplots(len(photos), columns, squeeze=False)
    for place, (row, name, photo) in enumerate(zip(panels, names, photos, strict=True)):
        for panel in row:
            panel.set_xticks([])
            panel.set_yticks([])
            panel.spines[:].set_visible(False)
        row[0].imshow(photo.convert("RGBA"))
        row[0].set_title(_short(name), fontsize=8, color=INK, fontweight="bold")
        row[0].spines[:].set(visible=True, color=ACCENT, linewidth=1.5)
        found = matches[place * each : (place + 1) * each]
        for panel, match in zip(row[1:], found, strict=True):
            panel.imshow(match.image.convert("RGBA"))
            panel.set_title(_short(match.identity), fontsize=8, color=INK)
            panel.set_xlabel(f"{match.score:.3f}", fontsize=8, color=MUTED)
    return save_figure(figure, path)


def _short(text: str) -> str:
    return text if len(text) <= 18 else f"{text[:17]}…"
