"""TrainingSession: the common part of the trainings of all kinds of networks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch

from edgecmp.artefacts.bundle import GalleryBundle, QueryBundle, SupernetBundle
from edgecmp.artefacts.manifest import Manifest
from edgecmp.artefacts.seen import SeenImages
from edgecmp.data import Dataset, load_dataset
from edgecmp.data.image_set import ImageSet
from edgecmp.data.protocol_names import IDENTITIES_UNSEEN, ProtocolName
from edgecmp.errors import UserError
from edgecmp.gallery.source import GallerySource, ModelSource
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import say
from edgecmp.storage import folder_lock
from edgecmp.training.augment import Augmentation
from edgecmp.training.batches import open_batches
from edgecmp.training.checkpoint import Checkpoint
from edgecmp.training.compatible import CompatibleLoss
from edgecmp.training.course import Course
from edgecmp.training.estimate import about, measure
from edgecmp.training.finished import FinishedTraining, find_finished, write_finished
from edgecmp.training.fit import Task, fit
from edgecmp.training.more_images import NO_MORE, MoreImages
from edgecmp.training.report import TrainingReport
from edgecmp.training.schedule import Schedule
from edgecmp.training.views import opened_views

__all__ = ["Kind", "TrainingSession", "WatchedRecipe"]

Kind = Literal["gallery", "supernet", "query"]


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

    @property
    def half(self) -> bool:
        """Whether the weights are stored in float16."""


@dataclass(kw_only=True, slots=True)
class TrainingSession:
    """One training: its recipe, data, preprocessing, folder and seed.

    The order is `begin`, `open`, `fit`, `ending`, and in the latter `finish`.

    Attributes:
        kind: of the network.
        recipe: schedule, augmentation and the interval of evaluations on the hold-out.
        dataset: its training split is trained on, its validation split is the hold-out.
        preprocessing: of the trained network.
        out: folder of the bundle and, until it is written, of the checkpoint.
        seed: of all random numbers.
        images: the training images, which may be more than the training split.
        more: those of them that have no labels.
        seen: the hashes of all images without labels that the network was trained on, those of the
            network that it starts from included; None if there are none.
        protocol_name: of results on the hold-out.
        started: when it began, by `time.monotonic`.
        settings: see `open`.
        gallery: see `open`.
    """

    kind: Kind
    recipe: WatchedRecipe
    dataset: Dataset
    preprocessing: Preprocessing
    out: Path
    seed: int
    images: ImageSet
    more: MoreImages
    seen: SeenImages | None
    protocol_name: ProtocolName = IDENTITIES_UNSEEN
    started: float = field(default_factory=time.monotonic)
    settings: Mapping[str, Any] = field(default_factory=dict)
    gallery: GallerySource | None = None
    _made_from: dict[str, Any] = field(default_factory=dict)
    _checkpoint: Checkpoint | None = None

    @classmethod
    @contextmanager
    def begin(
        cls,
        recipe: WatchedRecipe,
        *,
        kind: Kind,
        data: str | Dataset,
        input_size: int,
        out: str | Path,
        seed: int,
        more: MoreImages = NO_MORE,
    ) -> Iterator[TrainingSession]:
        """Seeds torch, loads the data, and holds `out` so that no other training writes to it.

        Data that is open already is used as it is.

        Raises:
            UserError: there is no such data set, it cannot be read, it has no training images or no
                task for the hold-out, or another training is writing to `out`.
        """
        started = time.monotonic()
        torch.manual_seed(seed)
        dataset = data if isinstance(data, Dataset) else load_dataset(data)
        dataset.require("train", "validation")
        with folder_lock(out, "training"):
            yield cls(
                kind=kind,
                recipe=recipe,
                dataset=dataset,
                preprocessing=Preprocessing(input_size=input_size),
                out=Path(out),
                seed=seed,
                images=more.joined(dataset.train),
                more=more,
                seen=more.seen,
                started=started,
            )

    def open(
        self, settings: Mapping[str, Any], *, gallery: GallerySource | None = None
    ) -> TrainingReport | None:
        """Compares the training with earlier work in `out`; call it before anything expensive.

        Args:
            settings: the recipe as a document, with what else determines the network: the hash of
                the model that it starts from, the architecture.
            gallery: what the network is trained to be compatible with.

        Returns:
            The report of the same training if it is finished already, else None.

        Raises:
            UserError: `out` contains another network or the checkpoint of another training, or the
                network that it starts from was trained on queries of the hold-out.
        """
        self.settings, self.gallery = settings, gallery
        compared = self._compared()
        self._checkpoint = Checkpoint.opened(self.out / "checkpoint", compared)
        self._made_from = {**compared, "holdout": self.dataset.validation.fingerprint}
        if not self.resumed and (finished := find_finished(self.out, self.kind, self._made_from)):
            self._checkpoint.clear()  # what a kill left of it
            say(
                f"{self.out} contains the result of this training, so nothing is trained. Remove "
                "the folder to train it again."
            )
            return self._report(finished)
        if self.seen is not None:
            task = self.dataset.retrieval("validation")
            self.protocol_name = self.seen.protocol_of(task, network=str(self.out))
            say(f'The protocol of results on the hold-out is "{self.protocol_name}".')
        say(self.dataset.describe())
        if len(self.more):
            share = len(self.more) / len(self.images)
            say(f"In each batch {share:.0%} of the images are without labels.")
        if self.resumed:
            made, records = self.checkpoint.epoch, self.checkpoint.records
            epochs = made + Course.resumed(self.recipe.schedule, records).left
            say(f"Resuming after epoch {made} of {epochs} in {self.out}.")
        return None

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint, after `open`."""
        if self._checkpoint is None:
            raise RuntimeError("The session was not opened.")
        return self._checkpoint

    @property
    def resumed(self) -> bool:
        """Whether the training continues an earlier one, so that initial weights do not matter."""
        return self.checkpoint.epoch > 0

    def _compared(self) -> dict[str, Any]:
        """What an earlier training must have in common with this one."""
        return {
            "kind": self.kind,
            "recipe": dict(self.settings),
            "seed": self.seed,
            "images": {"number": len(self.images), "fingerprint": self.images.fingerprint},
            "preprocessing": self.preprocessing.to_dict(),
            "gallery": _identity(self.gallery),
            **self.more.compared,
        }

    def fit(
        self,
        task: Task[Any],
        *,
        name: str,
        watch: Callable[[int], str],
        watched: int,
        criterion: CompatibleLoss | None = None,
    ) -> list[dict[str, float]]:
        """Trains the task, resuming from a checkpoint; returns one record per epoch.

        Before the first epoch it says what the training costs on this machine.

        Args:
            task: what is trained.
            name: for the progress bar and errors.
            watch: takes the number of finished epochs, evaluates on the hold-out, and returns the
                text to print.
            watched: images that pass a network in one evaluation.
            criterion: what makes the network compatible with the gallery; None: nothing does.
        """

        def after_epoch(epoch: int, last: bool) -> str | None:
            due = last or epoch % self.recipe.watch_every == 0
            try:
                return watch(epoch) if due else None
            except UserError as error:  # it may learn yet; the last evaluation decides
                return f"no result on the hold-out: {error.what}"

        with opened_views(
            criterion, self.recipe.augmentation, seed=self.seed, folder=self.checkpoint.folder
        ) as views:
            batches = open_batches(self.images, self.preprocessing, frames=views.frames)
            course = Course.resumed(self.recipe.schedule, self.checkpoint.records)
            time_left = self._time_left()
            if course.left:
                cost = measure(
                    task,
                    batches,
                    self.preprocessing,
                    self.recipe,
                    views,
                    seed=self.seed,
                    epoch=self.checkpoint.epoch,
                    course=course,
                    watched=watched,
                )
                say(cost.sentence(resumed=self.resumed))
                if time_left is not None and cost.seconds > time_left():
                    say(
                        f"There are {about(time_left())} left for it: it makes fewer epochs, "
                        "unless they take less time."
                    )
            return fit(
                task,
                batches,
                self.preprocessing,
                self.recipe.schedule,
                views,
                seed=self.seed,
                checkpoint=self.checkpoint,
                name=name,
                after_epoch=after_epoch,
                time_left=time_left,
            )

    def _time_left(self) -> Callable[[], float] | None:
        """What is left of the schedule's time at each moment, in seconds; None if it has none."""
        seconds = self.recipe.schedule.time_s
        if seconds is None:
            return None
        earlier = sum(record["seconds"] for record in self.checkpoint.records)
        end = self.started + seconds - earlier
        return lambda: end - time.monotonic()

    @contextmanager
    def ending(self) -> Iterator[None]:
        """What follows the last epoch: an error in it says that the epochs are kept."""
        try:
            yield
        except UserError as error:
            raise type(error)(
                error.what,
                f"{error.way_out} All epochs are kept in {self.checkpoint.folder}: the same "
                f"command goes on from there; remove {self.out} to train again.",
            ) from error

    def finish(
        self,
        bundle: GalleryBundle | SupernetBundle | QueryBundle,
        *,
        rows: list[dict[str, Any]],
        records: list[dict[str, float]],
    ) -> TrainingReport:
        """Saves the network and what it was trained from; the checkpoint is removed after that.

        Raises:
            UserError: a weight is not finite, or `out` cannot be written.
        """
        saved = bundle.save(self.out, half=self.recipe.half)
        finished = FinishedTraining(
            weights_sha256=saved.sha256,
            settings=self._made_from,
            rows=rows,
            epochs=records,
        )
        write_finished(self.out, finished)
        self.checkpoint.clear()
        return self._report(finished)

    def _report(self, finished: FinishedTraining) -> TrainingReport:
        return TrainingReport(
            rows=finished.rows,
            records=finished.epochs,
            path=self.out,
            kind=self.kind,
            queries_note=self._queries_note,
        )

    @property
    def _queries_note(self) -> str:
        return " ".join(self.dataset.retrieval("validation").notes)

    def manifest(
        self, *, metrics: Mapping[str, Any], network: Mapping[str, Any] | None = None
    ) -> Manifest:
        """The manifest of the trained network.

        Args:
            metrics: results on the hold-out.
            network: what the network is rebuilt from, if it has no architecture.json.
        """
        settings = {name: value for name, value in self.settings.items() if name != "architecture"}
        return Manifest(
            kind=self.kind,
            network=dict(network or {}),
            preprocessing=self.preprocessing.to_dict(),
            gallery_sha256=self.gallery.sha256 if self.gallery else None,
            data=self.more.manifest_data(self.dataset.train, self.dataset.name, self.seen),
            recipe={**settings, "seed": self.seed},
            metrics={**metrics, **({"queries_note": note} if (note := self._queries_note) else {})},
        )

    def starts_from(self, bundle: SupernetBundle | QueryBundle) -> None:
        """Notes what a network was trained on whose weights initialise the trained one."""
        if bundle.seen is not None:
            self.seen = bundle.seen if self.seen is None else bundle.seen.joined(self.seen)


def _identity(gallery: GallerySource | None) -> dict[str, Any] | None:
    """The hashes of a gallery and of how it prepares images."""
    if gallery is None:
        return None
    prepared = gallery.model.preprocessing if isinstance(gallery, ModelSource) else None
    return {
        "sha256": gallery.sha256,
        "preprocessing": prepared.fingerprint if prepared else None,
    }
