"""Quarter turns: each training image in four rotations, each rotation a separate identity."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from edgecmp.data.image_set import ImageSet, ImageSource, Integers, Pixels
from edgecmp.preprocessing import Preprocessing

__all__ = ["ROTATIONS", "quarter_turns"]

ROTATIONS = 4


@dataclass(frozen=True, slots=True)
class _RotatedSource:
    """Row `turns * N + row` is row `row` of `upright`, rotated by `turns` times 90 degrees.

    The rotation is counterclockwise.
    """

    upright: ImageSource

    @property
    def keys(self) -> tuple[str, ...]:
        keys = self.upright.keys
        return tuple(f"{key}{_suffix(turns)}" for turns in range(ROTATIONS) for key in keys)

    @property
    def fingerprint(self) -> str:
        content = f"{self.upright.fingerprint} in {ROTATIONS} turns"
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def shards(self) -> Integers | None:
        shards = self.upright.shards
        return None if shards is None else np.tile(shards, ROTATIONS)

    def file(self, row: int) -> Path | None:
        return self.upright.file(int(row) % len(self.upright.keys))

    def image(self, row: int) -> Image.Image:
        turns, upright = divmod(int(row), len(self.upright.keys))
        return self.upright.image(upright).rotate(90 * turns, expand=True)

    def pixels(self, rows: Integers, preprocessing: Preprocessing) -> Pixels:
        turns_of, upright = np.divmod(rows, len(self.upright.keys))
        height, width = preprocessing.size
        if height == width:
            images = self.upright.pixels(upright, preprocessing)
            for turns in range(1, ROTATIONS):
                chosen = turns_of == turns
                images[chosen] = np.rot90(images[chosen], turns, axes=(1, 2))
            return images
        images = np.empty((len(rows), height, width, 3), np.uint8)
        on_its_side = replace(preprocessing, input_size=width, width=height)
        for turns in np.unique(turns_of):
            chosen = turns_of == turns
            prepare = on_its_side if turns % 2 else preprocessing
            found = self.upright.pixels(upright[chosen], prepare)
            images[chosen] = np.rot90(found, turns, axes=(1, 2))
        return images


def quarter_turns(images: ImageSet) -> ImageSet:
    """The images rotated by 0, 90, 180 and 270 degrees: 4 N images of 4 K identities.

    A network never has to retrieve a rotated image, but it learns to tell four times as many
    identities apart, which improves its embeddings of unseen identities (Lee et al.,
    "Self-supervised Label Augmentation via Input Transformations", ICML 2020,
    https://arxiv.org/abs/1910.05872). The first K identities are the upright ones, so that a
    classifier of all 4 K identities also serves upright images alone.

    Args:
        images: N images of K identities.
    """
    identities = len(images.identity_names)
    source_rows = len(images.source.keys)
    turns = np.arange(ROTATIONS).repeat(len(images))
    return replace(
        images,
        name=f"{images.name}, four directions",
        identities=np.tile(images.identities, ROTATIONS) + turns * identities,
        identity_names=tuple(
            f"{name}{_suffix(turns)}"
            for turns in range(ROTATIONS)
            for name in images.identity_names
        ),
        domains=np.tile(images.domains, ROTATIONS),
        source=_RotatedSource(images.source),
        rows=np.tile(images.rows, ROTATIONS) + turns * source_rows,
        cameras=None if images.cameras is None else np.tile(images.cameras, ROTATIONS),
    )


def _suffix(turns: int) -> str:
    return f", turned {90 * turns}" if turns else ""
