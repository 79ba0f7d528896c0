"""Views: how each epoch changes the training images, and what the gallery model sees of them.

`FreshViews` draws new changes in every step, so the gallery model runs in every step. `FixedViews`
draws K views of each image, of which epoch e shows view e mod K; the gallery model embeds each of
them at first use, and its embeddings are kept in a file (see `EmbeddingLog`). View 0 is the image
as it is. Blends of two images are not used with fixed views, since the other image of a pair
changes from step to step, so that no embedding of a blend would be needed twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from edgecmp.errors import UserError
from edgecmp.preprocessing import Preprocessing
from edgecmp.training.augment import Augmentation
from edgecmp.training.batches import Drawn
from edgecmp.training.checkpoint import VIEWS
from edgecmp.training.compatible import CompatibleLoss
from edgecmp.training.draws import Draws
from edgecmp.training.embedding_log import EmbeddingLog
from edgecmp.training.pictures import PICTURE_BYTES, PictureStore, TwoFrames
from edgecmp.training.shown import Shown, TeacherImages
from edgecmp.training.supervision import Supervision

__all__ = ["FixedViews", "FreshViews", "View", "Views", "opened_views"]


class View(Protocol):
    """How one epoch shows the training images."""

    def shown(
        self, drawn: Drawn, preprocessing: Preprocessing, generator: torch.Generator
    ) -> Shown:
        """A batch as the networks see it.

        Args:
            drawn: the batch.
            preprocessing: of the query network.
            generator: of the random numbers of the epoch.
        """


class Views(Protocol):
    """How the epochs show the training images."""

    @property
    def frames(self) -> TwoFrames | None:
        """How the batches prepare pictures for the gallery model; None: they do not."""

    @property
    def remembers(self) -> bool:
        """Whether the gallery model embeds an image only the first time it is shown in a view."""

    def of_epoch(self, epoch: int) -> View:
        """The view of an epoch, from 0."""

    def asks(self, epoch: int) -> bool:
        """Whether the gallery model embeds images in an epoch of an undisturbed training.

        It does not depend on what an interrupted one has embedded already: it decides how many
        threads a step has, on which the last bits of the weights depend.
        """

    def unknown(self, epochs: range) -> int:
        """Views that the gallery model embeds once for all of these epochs, and has not yet."""

    def sync(self) -> None:
        """Called before an epoch's checkpoint is written."""


@dataclass(frozen=True, slots=True)
class FreshViews:
    """New changes in every step.

    Args:
        augmentation: the changes.
        frames: of a gallery model that prepares images in its own way; None: the batches have no
            pictures for it.
        asked: whether the gallery model embeds what is shown.
    """

    augmentation: Augmentation
    frames: TwoFrames | None = None
    asked: bool = False

    @property
    def remembers(self) -> bool:
        """See `Views.remembers`."""
        return False

    def asks(self, epoch: int) -> bool:
        """See `Views.asks`."""
        return self.asked

    def unknown(self, epochs: range) -> int:
        """None: what it embeds is new in each step."""
        return 0

    def of_epoch(self, epoch: int) -> View:
        """See `Views.of_epoch`."""
        return self

    def sync(self) -> None:
        """There is nothing to write."""

    def shown(
        self, drawn: Drawn, preprocessing: Preprocessing, generator: torch.Generator
    ) -> Shown:
        """See `View.shown`."""
        draws = self.augmentation.draw(len(drawn.indices), generator)
        images = preprocessing.normalise_planes(draws.apply(drawn.images))
        teacher = None
        if self.frames is not None and drawn.pictures is not None:
            teacher = TeacherImages(drawn.pictures, self.frames, draws)
        return Shown(images, drawn.indices, teacher)


class FixedViews:
    """K views of each image, whose embeddings by the gallery model are computed once.

    Args:
        supervision: the gallery and the N training images.
        augmentation: the changes of views 1 to K-1.
        count: K.
        seed: of the changes, together with the number of the image and of the view.
        log: keeps the embeddings.
    """

    def __init__(
        self,
        supervision: Supervision,
        augmentation: Augmentation,
        count: int,
        *,
        seed: int,
        log: EmbeddingLog,
    ) -> None:
        self.supervision, self.augmentation = supervision, augmentation
        self.count, self.seed, self.log = count, seed, log
        frames = supervision.frames(augmentation)
        images = supervision.train
        limit = PICTURE_BYTES if images.source.shards is None else 0
        self.store = None if frames is None else PictureStore(images, frames, limit)
        self.frames = None  # only pictures without an embedding are needed
        self.remembers = True

    @classmethod
    @contextmanager
    def opened(
        cls,
        supervision: Supervision,
        augmentation: Augmentation,
        count: int,
        *,
        seed: int,
        path: Path,
    ) -> Iterator[FixedViews]:
        """The views with the embeddings that are in a file already.

        Args:
            supervision: see the class.
            augmentation: see the class.
            count: see the class.
            seed: see the class.
            path: of the file.

        Raises:
            UserError: the file cannot be written.
        """
        source, images = supervision.source, supervision.train
        settings = {
            "gallery": [source.sha256, source.reads.fingerprint],
            "images": images.fingerprint,
            "preprocessing": supervision.preprocessing.to_dict(),
            "augmentation": asdict(augmentation),
            "seed": seed,
        }
        shape = (count, len(images), source.embedding_dim)
        with EmbeddingLog.opened(path, settings, shape) as log:
            yield cls(supervision, augmentation, count, seed=seed, log=log)

    def of_epoch(self, epoch: int) -> View:
        """See `Views.of_epoch`."""
        number = epoch % self.count
        return _FixedView(self, number, self.draws(number))

    def asks(self, epoch: int) -> bool:
        """See `Views.asks`."""
        return epoch < self.count and (epoch > 0 or not self.supervision.knows_all)

    def unknown(self, epochs: range) -> int:
        """See `Views.unknown`."""
        numbers = [epoch % self.count for epoch in epochs[: self.count]]
        everything = np.arange(len(self.supervision.train))
        return sum(
            len(self.log.missing(number, everything)) > 0
            for number in numbers
            if number or not self.supervision.knows_all
        )

    def sync(self) -> None:
        """See `Views.sync`."""
        self.log.sync()

    def draws(self, number: int) -> Draws | None:
        """The changes of all images in a view; None: view 0, the images as they are."""
        if not number:
            return None
        generator = torch.Generator().manual_seed(self.seed * 100_003 + number)
        return self.augmentation.draw(len(self.supervision.train), generator)

    def embed(self, indices: Tensor, planes: Tensor, draws: Draws | None) -> Tensor:
        """The gallery model's embeddings (n, D) of images in a view.

        Args:
            indices: training indices (n,).
            planes: the images in the view, for the phone, (n, 3, S, S) in 0..255.
            draws: the changes of these images; None: there are none.

        Raises:
            UserError: one of them is not finite.
        """
        if draws is None and self.supervision.knows_all:
            return self.supervision.embeddings[indices]
        source = self.supervision.source
        if self.store is not None:
            pictures = self.store.of(indices.tolist())
            planes = TeacherImages(pictures, self.store.frames, draws).planes()
        found = source.embed_planes(planes).float()
        if not found.isfinite().all():
            raise UserError(
                f"{source.name} has no finite embedding for an augmented training image.",
                "Correct the gallery model.",
            )
        return found


@dataclass(frozen=True, slots=True)
class _FixedView:
    """One view of all images.

    Attributes:
        views: all views.
        number: of this one.
        draws: the changes of all images; None: there are none.
    """

    views: FixedViews
    number: int
    draws: Draws | None

    def shown(
        self, drawn: Drawn, preprocessing: Preprocessing, generator: torch.Generator
    ) -> Shown:
        """See `View.shown`; the generator is not used."""
        draws = None if self.draws is None else self.draws.of(drawn.indices)
        if draws is None:
            planes = drawn.images.permute(0, 3, 1, 2).float()
        else:
            planes = draws.apply(drawn.images)
        log, indices = self.views.log, drawn.indices.numpy()
        missing = log.missing(self.number, indices)
        if len(missing):
            rows = torch.from_numpy(missing)
            found = self.views.embed(
                drawn.indices[rows], planes[rows], None if draws is None else draws.of(rows)
            )
            log.append(self.number, indices[missing], np.asarray(found))
        embedded = torch.from_numpy(log.read(self.number, indices))
        targets = self.views.supervision.adapted(embedded)
        return Shown(preprocessing.normalise_planes(planes), drawn.indices, targets=targets)


@contextmanager
def opened_views(
    criterion: CompatibleLoss | None, augmentation: Augmentation, *, seed: int, folder: Path
) -> Iterator[Views]:
    """How the epochs of a training show its images.

    Args:
        criterion: what makes the network compatible with the gallery; None: nothing does.
        augmentation: of the training images.
        seed: of the training.
        folder: of its checkpoint.

    Raises:
        UserError: the embeddings of fixed views cannot be written to the folder.
    """
    if criterion is None or not criterion.runs_network:
        yield FreshViews(augmentation)
    elif not criterion.views:
        frames = criterion.supervision.frames(augmentation)
        yield FreshViews(augmentation, frames, asked=True)
    else:
        with FixedViews.opened(
            criterion.supervision, augmentation, criterion.views, seed=seed, path=folder / VIEWS
        ) as views:
            yield views
