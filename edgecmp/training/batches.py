"""Where `fit` gets its batches from: memory, or shards that worker processes decode.

The order of an epoch comes from the generator of (seed, epoch) alone, whatever reads the images and
however many processes do, so a training that was killed goes on at the next epoch as if nothing had
happened. (webdataset's own shuffling depends on the number of workers, hence this one.)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from edgecmp.data import ImageSet
from edgecmp.errors import UserError
from edgecmp.preprocessing import Preprocessing

__all__ = ["Batches", "InMemory", "Streamed", "open_batches", "steps_of"]

WINDOW = 8
"""Shards whose images are mixed at a time; each is a random part of the training images."""


class Batches(Protocol):
    """The prepared training images, once an epoch in a random order."""

    def __len__(self) -> int:
        """How many images there are."""

    @property
    def described(self) -> Any:
        """What decides the batches, for the checkpoint."""

    def epoch(self, batch_size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """`steps_of` batches: training indices (B,) int64 and images (B, S, S, 3) uint8.

        Whatever is drawn from the generator is drawn before the first batch.
        """


def steps_of(batches: Batches, batch_size: int) -> int:
    """Batches an epoch: the last, incomplete one is dropped, unless it is the only one."""
    return max(1, len(batches) // batch_size)


@dataclass(frozen=True, slots=True)
class InMemory:
    """All images at once.

    Args:
        pixels: uint8 (M, S, S, 3).
    """

    pixels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def described(self) -> Any:
        return len(self)

    def epoch(self, batch_size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        source = torch.from_numpy(self.pixels)
        order = torch.randperm(len(source), generator=generator)
        for step in range(steps_of(self, batch_size)):
            indices = order[step * batch_size : (step + 1) * batch_size]
            yield indices, source[indices]


@dataclass(frozen=True, slots=True)
class Streamed:
    """Images in shards: some shards are mixed at a time, and a few batches are in memory.

    Args:
        images: their source has shards.
        preprocessing: how they are prepared.
        workers: processes that read and decode; 0 does it in this one.
    """

    images: ImageSet
    preprocessing: Preprocessing
    workers: int

    def __len__(self) -> int:
        return len(self.images)

    @property
    def described(self) -> Any:
        return {"images": len(self), "shards": self.images.source.fingerprint}

    def epoch(self, batch_size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        order = self.order(generator)
        batches = [
            order[step * batch_size : (step + 1) * batch_size]
            for step in range(steps_of(self, batch_size))
        ]
        loader: DataLoader[Any] = DataLoader(
            _Decoder(self.images, self.preprocessing),
            batch_sampler=batches,  # type: ignore[arg-type]  # arrays do as well as lists
            num_workers=self.workers,
            collate_fn=_as_it_is,
            generator=torch.Generator(),  # or it would draw from the global one
        )
        for indices, images in zip(batches, loader, strict=True):
            if isinstance(images, _Failure):
                raise UserError(images.what, images.way_out)
            yield torch.from_numpy(indices), torch.from_numpy(images)

    def order(self, generator: torch.Generator) -> NDArray[np.int64]:
        """The training indices (M,) of one epoch.

        Shards come in a random order, `WINDOW` at a time, and their images in a random one.
        """
        assert self.images.source.shards is not None
        shards, shard_of = np.unique(
            self.images.source.shards[self.images.rows], return_inverse=True
        )
        place_of = torch.randperm(len(shards), generator=generator).numpy()
        shuffled = torch.randperm(len(self), generator=generator).numpy()
        window = place_of[shard_of[shuffled]] // WINDOW
        order: NDArray[np.int64] = shuffled[np.argsort(window, kind="stable")]
        return order


@dataclass(frozen=True, slots=True)
class _Failure:
    """A user's error that crosses from a worker process."""

    what: str
    way_out: str


class _Decoder(Dataset[Any]):
    """What a worker process does: a whole batch at a time."""

    def __init__(self, images: ImageSet, preprocessing: Preprocessing) -> None:
        self.images, self.preprocessing = images, preprocessing

    def __getitems__(self, indices: NDArray[np.int64]) -> NDArray[np.uint8] | _Failure:
        try:
            return self.images.pixels(self.preprocessing, indices)
        except UserError as error:
            return _Failure(error.what, error.way_out)


def _as_it_is(batch: Any) -> Any:
    """numpy arrays pass through a pipe; tensors would need shared memory, of which many have 64 MB.

    (A module's function, since worker processes may be spawned.)
    """
    return batch


def open_batches(
    images: ImageSet, preprocessing: Preprocessing, *, workers: int | None = None
) -> Batches:
    """Streamed where the images lie in shards, else all in memory.

    Args:
        workers: processes that decode; None: half of the processor's cores, 8 at most. The batches
            do not depend on it.
    """
    if images.source.shards is None:
        return InMemory(images.pixels(preprocessing))
    if workers is None:
        workers = min(8, max(1, (os.cpu_count() or 1) // 2))
    return Streamed(images, preprocessing, workers)
