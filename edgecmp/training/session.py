"""TrainingSession: the common part of the trainings of all kinds of networks."""

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
    """The fields of a recipe that a session uses."""

    @property
    def schedule(self) -> Schedule:
        """Of the optimisation."""

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
        recipe: schedule, augmentation and the interval of evaluations on the hold-out.
        dataset: its training split is trained on, its validation split is the hold-out.
        preprocessing: of the trained network.
        out: folder of the bundle and, until it is written, of the checkpoint.
        seed: of all random numbers.
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
        """Trains the task, resuming from a checkpoint; returns one record per epoch.

        Args:
            task: what is trained.
            name: for the progress bar.
            watch: takes the number of finished epochs, evaluates on the hold-out, and returns the
                text to print.
            images: the training images; None: the training split.
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
            settings: the recipe as a document, and the hash of the model that it started from.
            metrics: results on the hold-out.
            network: what the network is rebuilt from, if it has no architecture.json.
            gallery_sha256: hash of the gallery model that it is compatible with.
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
