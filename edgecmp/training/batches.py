"""The batches of `fit`: from memory, or from shards that worker processes decode.

The order of an epoch depends only on the generator of (seed, epoch), not on how the images are read
or by how many processes, so that an interrupted training resumes with the same batches. The
shuffling of webdataset depends on the number of workers and is therefore not used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from edgecmp.data import ImageSet
from edgecmp.errors import UserError
from edgecmp.preprocessing import Preprocessing
from edgecmp.training.pictures import Picture, PictureStore, TwoFrames
from edgecmp.training.shares import evenly

__all__ = ["Batches", "Drawn", "InMemory", "Streamed", "open_batches", "steps_of"]

WINDOW = 8
"""Number of shards whose images are mixed; each shard is a random sample of the images."""


class Drawn(NamedTuple):
    """One batch.

    Attributes:
        indices: training indices (B,) int64.
        images: (B, S, S, 3) uint8.
        pictures: the same images for a gallery model that prepares them in its own way; None if
            nobody asks for them.
    """

    indices: Tensor
    images: Tensor
    pictures: Sequence[Picture] | None = None


class Batches(Protocol):
    """The prepared training images, in a random order in each epoch."""

    def __len__(self) -> int:
        """Number of images."""

    def epoch(self, batch_size: int, generator: torch.Generator) -> Iterator[Drawn]:
        """`steps_of` batches.

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
        store: of the gallery model's pictures; None: the batches have none.
        labelled: (M,) bool, whether each image has a label; None: all have. Each batch has both
            kinds in the shares of the set.
    """

    pixels: NDArray[Any]
    store: PictureStore | None = None
    labelled: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def epoch(self, batch_size: int, generator: torch.Generator) -> Iterator[Drawn]:
        """The batches of one epoch; see `Batches.epoch`."""
        source = torch.from_numpy(self.pixels)
        order = torch.randperm(len(source), generator=generator)
        if self.labelled is not None:
            order = torch.from_numpy(evenly(order.numpy(), self.labelled))
        for step in range(steps_of(self, batch_size)):
            indices = order[step * batch_size : (step + 1) * batch_size]
            pictures = None if self.store is None else self.store.of(indices.tolist())
            yield Drawn(indices, source[indices], pictures)


@dataclass(frozen=True, slots=True)
class Streamed:
    """Batches of images in shards; only a few batches are in memory at a time.

    Args:
        images: a set whose source has shards.
        preprocessing: how the images are prepared.
        workers: number of processes that read and decode; 0: this process does it.
        frames: how the images are prepared for the gallery model too; None: they are not.
    """

    images: ImageSet
    preprocessing: Preprocessing
    workers: int
    frames: TwoFrames | None = None

    def __len__(self) -> int:
        return len(self.images)

    def epoch(self, batch_size: int, generator: torch.Generator) -> Iterator[Drawn]:
        """The batches of one epoch; see `Batches.epoch`."""
        order = self.order(generator)
        batches = [
            order[step * batch_size : (step + 1) * batch_size]
            for step in range(steps_of(self, batch_size))
        ]
        loader: DataLoader[Any] = DataLoader(
            _Decoder(self.images, self.preprocessing, self.frames),
            batch_sampler=batches,  # type: ignore[arg-type]  # arrays work like lists
            num_workers=self.workers,
            collate_fn=_as_it_is,
            generator=torch.Generator(),  # the default would use the global one
        )
        for indices, decoded in zip(batches, loader, strict=True):
            if isinstance(decoded, _Failure):
                raise UserError(decoded.what, decoded.way_out)
            images, pictures = decoded
            yield Drawn(torch.from_numpy(indices), torch.from_numpy(images), pictures)

    def order(self, generator: torch.Generator) -> NDArray[np.int64]:
        """The training indices (M,) of one epoch.

        `WINDOW` shards in random order are mixed at a time, with their images in random order;
        images without labels are then spread evenly among the others.
        """
        assert self.images.source.shards is not None
        shards, shard_of = np.unique(
            self.images.source.shards[self.images.rows], return_inverse=True
        )
        place_of = torch.randperm(len(shards), generator=generator).numpy()
        shuffled = torch.randperm(len(self), generator=generator).numpy()
        window = place_of[shard_of[shuffled]] // WINDOW
        order: NDArray[np.int64] = shuffled[np.argsort(window, kind="stable")]
        return evenly(order, self.images.identities >= 0)


@dataclass(frozen=True, slots=True)
class _Failure:
    """A UserError as a value that a worker process can return."""

    what: str
    way_out: str


class _Decoder(Dataset[Any]):
    """The dataset of a worker process, which decodes a complete batch at a time."""

    def __init__(
        self, images: ImageSet, preprocessing: Preprocessing, frames: TwoFrames | None
    ) -> None:
        self.images, self.preprocessing = images, preprocessing
        self.store = None if frames is None else PictureStore(images, frames, limit=0)

    def __getitems__(
        self, indices: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint8], Sequence[Picture] | None] | _Failure:
        try:
            if self.store is None:
                return self.images.pixels(self.preprocessing, indices), None
            return self.store.both(indices.tolist())
        except UserError as error:
            return _Failure(error.what, error.way_out)


def _as_it_is(batch: Any) -> Any:
    """Keeps a batch as an array: a tensor would need shared memory, which may be only 64 MB.

    It is a function of the module, since worker processes may be spawned.
    """
    return batch


def open_batches(
    images: ImageSet,
    preprocessing: Preprocessing,
    *,
    workers: int | None = None,
    frames: TwoFrames | None = None,
) -> Batches:
    """Streamed batches if the images are in shards, else batches from memory.

    Args:
        images: the training images.
        preprocessing: how they are prepared.
        workers: number of processes that decode; None: half of the processor's cores, at most 8.
            The batches do not depend on it.
        frames: how the images are prepared for the gallery model too; None: they are not.
    """
    if images.source.shards is None:
        labelled = images.identities >= 0
        if frames is None:
            return InMemory(images.pixels(preprocessing), labelled=labelled)
        store = PictureStore(images, frames)
        return InMemory(store.prepared(), store, labelled)
    if workers is None:
        workers = min(8, max(1, (os.cpu_count() or 1) // 2))
    return Streamed(images, preprocessing, workers, frames)
