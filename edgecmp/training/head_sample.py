"""TrainingSample: a random sample of the training images, on which a start is fitted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgecmp.data.image_set import Integers, Pixels
from edgecmp.networks.adapt import HeadSample
from edgecmp.preprocessing import Preprocessing
from edgecmp.training.supervision import Supervision

__all__ = ["MOST", "TrainingSample"]

MOST = 2000
"""Images of a sample."""

BATCH = 256
HELD_OUT = 0.2
"""Share of the identities by which the ridge is chosen."""


@dataclass(frozen=True, slots=True)
class _Normalised:
    """Normalised batches (n, 3, S, S) of prepared images, made anew in each pass to save memory.

    Args:
        pixels: uint8 (N, S, S, 3).
        preprocessing: how they are normalised.
    """

    pixels: Pixels
    preprocessing: Preprocessing

    def __len__(self) -> int:
        return max(1, len(self.pixels) // BATCH)

    def __iter__(self) -> Iterator[Tensor]:
        for part in np.array_split(self.pixels, len(self)):
            yield self.preprocessing.normalise(part)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSample:
    """At most `MOST` training images without augmentation, in random order.

    Attributes:
        chosen: (N,) training indices.
        batches: the images, in this order.
        supervision: the gallery's outputs for the training images.
        seed: of the choice.
    """

    chosen: Integers
    batches: _Normalised
    supervision: Supervision
    seed: int

    @classmethod
    def draw(cls, supervision: Supervision, seed: int) -> TrainingSample:
        """Draws and reads a sample.

        Args:
            supervision: of the training images.
            seed: the same seed draws the same images.
        """
        images, prepare = supervision.train, supervision.preprocessing
        chosen = np.random.default_rng(seed).permutation(len(images))[:MOST]
        pixels = images.pixels(prepare, np.sort(chosen))[chosen.argsort().argsort()]
        return cls(
            chosen=chosen,
            batches=_Normalised(pixels, prepare),
            supervision=supervision,
            seed=seed,
        )

    def __len__(self) -> int:
        return len(self.chosen)

    def with_targets(self) -> HeadSample:
        """The sample with its targets; a fifth of its identities is held out.

        Raises:
            UserError: the gallery has no finite embedding for some of the images.
        """
        identities = self.supervision.train.identities[self.chosen]
        unlabelled = -1 - np.arange(len(identities))  # each is an identity of its own
        identities = np.where(identities < 0, unlabelled, identities)
        present = np.random.default_rng(self.seed).permutation(np.unique(identities))
        held_out = np.isin(identities, present[: round(HELD_OUT * len(present))])
        return HeadSample(
            batches=self.batches,
            targets=self.supervision.targets_of(self.chosen),
            held_out=torch.from_numpy(held_out),
        )
