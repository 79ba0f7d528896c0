"""TrainingSession: what the trainings of gallery model, supernet and query network share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch

from edgecmp.artefacts.bundle import Manifest
from edgecmp.data import Dataset, load_dataset
from edgecmp.data.image_set import ImageSet
from edgecmp.preprocessing import Preprocessing
from edgecmp.training.augment import Augmentation
from edgecmp.training.batches import open_batches
from edgecmp.training.fit import Schedule, Task, fit

__all__ = ["TrainingSession", "WatchedRecipe"]


class WatchedRecipe(Protocol):
    """What a session reads of a recipe."""

    @property
    def schedule(self) -> Schedule:
        """How long and how fast."""

    @property
    def augmentation(self) -> Augmentation:
        """Of the training images."""

    @property
    def watch_every(self) -> int:
        """Epochs between evaluations on the hold-out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSession:
    """One training: its recipe, data, preprocessing, folder and seed.

    Attributes:
        recipe: schedule, augmentation and how often the hold-out is evaluated.
        dataset: trained on its training split, watched on its validation split.
        preprocessing: of the trained network.
        out: folder of the bundle and, until it is written, of the checkpoint.
        seed: of everything random.
    """

    recipe: WatchedRecipe
    dataset: Dataset
    preprocessing: Preprocessing
    out: Path
    seed: int

    @classmethod
    def begin(
        cls, recipe: WatchedRecipe, *, data: str, input_size: int, out: str | Path, seed: int
    ) -> TrainingSession:
        """Seeds torch and loads the data.

        Raises:
            UserError: there is no such data set, or it cannot be read.
        """
        torch.manual_seed(seed)
        return cls(
            recipe=recipe,
            dataset=load_dataset(data),
            preprocessing=Preprocessing(input_size=input_size),
            out=Path(out),
            seed=seed,
        )

    def fit(
        self, task: Task, *, name: str, watch: Callable[[int], str], images: ImageSet | None = None
    ) -> list[dict[str, float]]:
        """Trains the task and returns one record per epoch; resumes from the checkpoint.

        Args:
            task: what is trained.
            name: for the progress bar.
            watch: evaluates on the hold-out after this epoch, and returns the line to print.
            images: what is trained on, if not the training split as it is.
        """

        def after_epoch(epoch: int) -> str | None:
            due = epoch % self.recipe.watch_every == 0 or epoch == self.recipe.schedule.epochs
            return watch(epoch) if due else None

        return fit(
            task,
            open_batches(self.dataset.train if images is None else images, self.preprocessing),
            self.preprocessing,
            self.recipe.schedule,
            self.recipe.augmentation,
            seed=self.seed,
            checkpoints=self.out / "checkpoint",
            name=name,
            after_epoch=after_epoch,
        )

    def manifest(
        self,
        kind: Literal["gallery", "supernet", "query"],
        *,
        settings: Mapping[str, Any],
        metrics: Mapping[str, Any],
        network: Mapping[str, Any] | None = None,
        gallery_sha256: str | None = None,
    ) -> Manifest:
        """The manifest of the trained network.

        Args:
            kind: of the network.
            settings: the recipe as a document, and the model that it started from.
            metrics: on the hold-out.
            network: what the network is built from, where no architecture.json says it.
            gallery_sha256: the gallery model that it is compatible with.
        """
        return Manifest(
            kind=kind,
            network=dict(network or {}),
            preprocessing=self.preprocessing.to_dict(),
            gallery_sha256=gallery_sha256,
            data={"name": self.dataset.name, "fingerprint": self.dataset.train.fingerprint},
            recipe={**settings, "seed": self.seed},
            metrics=dict(metrics),
        )
