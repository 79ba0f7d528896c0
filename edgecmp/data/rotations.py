"""Quarter turns: each training image four times, each direction an identity of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from edgecmp.data.image_set import ImageSet, ImageSource, Integers, Pixels
from edgecmp.preprocessing import Preprocessing

__all__ = ["quarter_turns"]

TURNS = 4


@dataclass(frozen=True, slots=True)
class _TurnedSource:
    """Row `turn * N + row` is row `row` of `upright`, turned to the left `turn` times."""

    upright: ImageSource

    @property
    def keys(self) -> tuple[str, ...]:
        keys = self.upright.keys
        return tuple(f"{key}{_suffix(turn)}" for turn in range(TURNS) for key in keys)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.upright.fingerprint} in {TURNS} turns".encode()).hexdigest()

    @property
    def shards(self) -> Integers | None:
        shards = self.upright.shards
        return None if shards is None else np.tile(shards, TURNS)

    def image(self, row: int) -> Image.Image:
        turn, upright = divmod(int(row), len(self.upright.keys))
        return self.upright.image(upright).rotate(90 * turn, expand=True)

    def pixels(self, rows: Integers, preprocessing: Preprocessing) -> Pixels:
        turns, upright = np.divmod(rows, len(self.upright.keys))
        images = self.upright.pixels(upright, preprocessing)
        for turn in range(1, TURNS):
            chosen = turns == turn
            images[chosen] = np.rot90(images[chosen], turn, axes=(1, 2))
        return images


def quarter_turns(images: ImageSet) -> ImageSet:
    """The images upright, then turned by 90, 180 and 270 degrees: 4 N images of 4 K identities.

    A turned drawing is nobody the network has to find later, but a new identity to tell apart:
    what it learns on four times as many carries over better to identities it never saw (Lee et
    al., "Self-supervised label augmentation via input transformations", ICML 2020). The first K
    identities are the upright ones, so a classifier of all 4 K also serves upright images alone.

    Args:
        images: N images of square shape once prepared.
    """
    per_turn = len(images.identity_names)
    source_rows = len(images.source.keys)
    turn = np.arange(TURNS).repeat(len(images))
    return replace(
        images,
        name=f"{images.name}, four directions",
        identities=np.tile(images.identities, TURNS) + turn * per_turn,
        identity_names=tuple(
            f"{name}{_suffix(turn)}" for turn in range(TURNS) for name in images.identity_names
        ),
        domains=np.tile(images.domains, TURNS),
        source=_TurnedSource(images.source),
        rows=np.tile(images.rows, TURNS) + turn * source_rows,
    )


def _suffix(turn: int) -> str:
    return f", turned {90 * turn}" if turn else ""
