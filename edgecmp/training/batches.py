"""The batches of `fit`: from memory, or from shards that worker processes decode.

The order of an epoch depends only on the generator of (seed, epoch), not on how the images are read
or by how many processes, so that an interrupted training resumes with the same batches. The
shuffling of webdataset depends on the number of workers and is therefore not used.
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
"""Number of shards whose images are mixed; each shard is a random sample of the images."""


class Batches(Protocol):
    """The prepared training images, in a random order in each epoch."""

    def __len__(self) -> int:
        """Number of images."""

    def epoch(self, batch_size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """`steps_of` batches: training indices (B,) int64 and images (B, S, S, 3) uint8.

        All random numbers are taken from the generator before the first batch.
        """


def steps_of(batches: Batches, batch_size: int) -> int:
    """Batches per epoch: an incomplete last batch is dropped unless it is the only one."""
    return max(1, len(batches) // batch_size)


@dataclass(frozen=True, slots=True)
class InMemory:
    """Batches of images that are all in memory.

    Args:
        pixels: uint8 (M, S, S, 3).
    """

    pixels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.pixels)

    def epoch(self, batch_size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of one epoch; see `Batches.epoch`."""
        source = torch.from_numpy(self.pixels)
        order = torch.randperm(len(source), generator=generator)
        for step in range(steps_of(self, batch_size)):
            indices = order[step * batch_size : (step + 1) * batch_size]
            yield indices, source[indices]


@dataclass(frozen=True, slots=True)
class Streamed:
    """Batches of images in shards; only a few batches are in memory at a time.

    Args:
        images: a set whose source has shards.
        preprocessing: how the images are prepared.
        workers: number of processes that read and decode; 0: this process does it.
    """

    images: ImageSet
    preprocessing: Preprocessing
    workers: int

    def __len__(self) -> int:
        return len(self.images)

    def epoch(self, batch_size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of one epoch; see `Batches.epoch`."""
        order = self.order(generator)
        batches = [
            order[step * batch_size : (step + 1) * batch_size]
            for step in range(steps_of(self, batch_size))
        ]
        loader: DataLoader[Any] = DataLoader(
            _Decoder(self.images, self.preprocessing),
            batch_sampler=batches,  # type: ignore[arg-type]  # arrays work like lists
            num_workers=self.workers,
            collate_fn=_as_it_is,
            generator=torch.Generator(),  # the default would use the global one
        )
        for indices, images in zip(batches, loader, strict=True):
            if isinstance(images, _Failure):
                raise UserError(images.what, images.way_out)
            yield torch.from_numpy(indices), torch.from_numpy(images)

    def order(self, generator: torch.Generator) -> NDArray[np.int64]:
        """The training indices (M,) of one epoch.

        `WINDOW` shards in random order are mixed at a time, with their images in random order.
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
    """A UserError as a value that a worker process can return."""

    what: str
    way_out: str


class _Decoder(Dataset[Any]):
    """The dataset of a worker process, which decodes a complete batch at a time."""

    def __init__(self, images: ImageSet, preprocessing: Preprocessing) -> None:
        self.images, self.preprocessing = images, preprocessing

    def __getitems__(self, indices: NDArray[np.int64]) -> NDArray[np.uint8] | _Failure:
        try:
            return self.images.pixels(self.preprocessing, indices)
        except UserError as error:
            return _Failure(error.what, error.way_out)


def _as_it_is(batch: Any) -> Any:
    """Keeps a batch as an array: a tensor would need shared memory, which may be only 64 MB.

    It is a function of the module, since worker processes may be spawned.
    """
    return batch


def open_batches(
    images: ImageSet, preprocessing: Preprocessing, *, workers: int | None = None
) -> Batches:
    """Streamed batches if the images are in shards, else batches from memory.

    Args:
        images: the training images.
        preprocessing: how they are prepared.
        workers: number of processes that decode; None: half of the processor's cores, at most 8.
            The batches do not depend on it.
    """
    if images.source.shards is None:
        return InMemory(images.pixels(preprocessing))
    if workers is None:
        workers = min(8, max(1, (os.cpu_count() or 1) // 2))
    return Streamed(images, preprocessing, workers)
