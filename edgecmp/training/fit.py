"""fit: the training loop of all networks, which resumes exactly after an interruption.

In every epoch the order, the augmentation and the paths come from a generator that is seeded by
(seed, epoch), so a checkpoint contains tensors and an epoch number, but no random state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from itertools import islice
from statistics import mean
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from edgecmp.errors import NotLearnedError
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import progress
from edgecmp.training.ahead import made_ahead
from edgecmp.training.batches import Batches
from edgecmp.training.checkpoint import Checkpoint
from edgecmp.training.course import Course
from edgecmp.training.schedule import Schedule
from edgecmp.training.shown import Shown
from edgecmp.training.state import TrainingState
from edgecmp.training.views import Views

__all__ = ["PlainTask", "Task", "epoch_steps", "fit", "losses"]

LATEST = 3
"""Epochs from whose time that of the next ones is expected."""

Prepared = TypeVar("Prepared")


class Task(Protocol[Prepared]):
    """What is trained: a module with all parameters, and the loss of a batch."""

    @property
    def module(self) -> nn.Module:
        """The module with all parameters."""
        ...

    def prepared(self, shown: Shown, progress: float, generator: torch.Generator) -> Prepared:
        """What the loss needs of a batch, which does not depend on the module's weights.

        It may be called in another thread, while the module is trained on the batch before.

        Args:
            shown: the batch.
            progress: share of the training that is done, 0..1.
            generator: of all random numbers of the step except dropout's.
        """
        ...

    def loss(self, prepared: Prepared) -> Tensor:
        """The loss of a batch, a scalar."""
        ...


class PlainTask:
    """A task whose loss takes the batch as it is shown, and nothing else."""

    def prepared(self, shown: Shown, progress: float, generator: torch.Generator) -> Shown:
        """See `Task.prepared`."""
        return shown


def fit(
    task: Task[Any],
    batches: Batches,
    preprocessing: Preprocessing,
    schedule: Schedule,
    views: Views,
    *,
    seed: int,
    checkpoint: Checkpoint,
    name: str,
    after_epoch: Callable[[int, bool], str | None] | None = None,
    time_left: Callable[[], float] | None = None,
) -> list[dict[str, float]]:
    """Trains `task.module` in place.

    Args:
        task: what is trained.
        batches: the prepared training images (see `open_batches`).
        preprocessing: how augmented images are normalised.
        schedule: of the optimisation.
        views: how the epochs change the training images.
        seed: of all random numbers.
        checkpoint: where the training resumes, and where each epoch is kept; the caller removes it
            when the result is saved. A resumed training ends with the same weights.
        name: for the progress bar.
        after_epoch: takes the number of finished epochs, and whether none follows; may return text
            for the epoch's line.
        time_left: seconds in which the training should end; None: it makes the schedule's epochs.

    Returns:
        One record per epoch, those before an interruption included: "epoch", "loss", "lr",
        "seconds"; with `time_left` also "position" and "left", see `Course`.

    Raises:
        NotLearnedError: the loss or a weight is no longer finite.
        UserError: the checkpoint cannot be read or written.
    """
    state = TrainingState(task.module, schedule, schedule.steps_of(batches))
    if checkpoint.epoch:
        state.resume(checkpoint)
    records = list(checkpoint.records)
    course = Course.resumed(schedule, records)
    total_steps, shown = schedule.epochs * state.steps, round(course.position * state.steps)
    looking = 0.0
    with progress(name, total=total_steps, unit="step", before=shown) as bar:
        while course.left:
            epoch = len(records)
            started = time.monotonic()
            generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
            torch.manual_seed(seed * 100_003 + epoch)
            task.module.train()
            total = 0.0
            steps = epoch_steps(
                task,
                batches,
                preprocessing,
                schedule,
                views,
                epoch=epoch,
                course=course,
                generator=generator,
            )
            ahead = views.asks(epoch)
            with closing(losses(task, steps, schedule, ahead=ahead)) as of_steps:
                for step, loss in enumerate(of_steps):
                    state.set_lr(course.position * state.steps + course.stride * step)
                    if not loss.isfinite():
                        raise _diverged("The loss", name, epoch, checkpoint)
                    state.update(loss)
                    total += loss.item()
                    reached = round(course.at((step + 1) / state.steps) * state.steps)
                    bar.advance(reached - shown)
                    shown = reached
            record = {
                "epoch": epoch + 1,
                "loss": total / state.steps,
                "lr": state.optimizer.param_groups[0]["lr"],
                "seconds": time.monotonic() - started,
            }
            if not state.finite:
                raise _diverged("A weight", name, epoch, checkpoint)
            records.append(record)
            course = course.after_epoch()
            if time_left is not None:
                if course.left:
                    expected = _expected_seconds(records, views, course.most_left)
                    course = course.within(time_left() - 2 * looking, expected)
                record |= course.facts
            views.sync()
            checkpoint.save(state.tensors(), epoch + 1, records)
            line = f"epoch {epoch + 1}/{epoch + 1 + course.left} loss {record['loss']:.4f}"
            ended = time.monotonic()
            with state.averaged():
                extra = after_epoch(epoch + 1, not course.left) if after_epoch is not None else None
            looking = max(looking, time.monotonic() - ended)
            bar.note(f"{line} {record['seconds']:.0f} s{'  ' + extra if extra else ''}")
    state.finish()
    return records


def _expected_seconds(
    records: Sequence[Mapping[str, float]], views: Views, count: int
) -> list[float]:
    """Seconds of each of the next epochs: as the latest ones took of the same kind, if any.

    Args:
        records: of the finished epochs.
        views: how the epochs change the images: the gallery model embeds them in some.
        count: of the next epochs.
    """

    def latest(asks: bool) -> float:
        same = [record for epoch, record in enumerate(records) if views.asks(epoch) == asks]
        return mean(record["seconds"] for record in (same or records)[-LATEST:])

    by_kind = {asks: latest(asks) for asks in (False, True)}
    return [by_kind[views.asks(len(records) + ahead)] for ahead in range(count)]


def epoch_steps(
    task: Task[Prepared],
    batches: Batches,
    preprocessing: Preprocessing,
    schedule: Schedule,
    views: Views,
    *,
    epoch: int,
    course: Course,
    generator: torch.Generator,
) -> Iterator[Prepared]:
    """The prepared batches of an epoch.

    Args:
        task: what is trained.
        batches: the prepared training images.
        preprocessing: how augmented images are normalised.
        schedule: of the optimisation.
        views: how the epochs change the training images.
        epoch: number of finished epochs.
        course: where the epoch begins in the schedule.
        generator: seeded for the epoch.
    """
    steps = schedule.steps_of(batches)
    view = views.of_epoch(epoch)
    drawn = islice(batches.epoch(schedule.batch_size, generator), steps)
    for step, batch in enumerate(drawn):
        shown = view.shown(batch, preprocessing, generator)
        yield task.prepared(shown, course.at(step / steps) / course.epochs, generator)


def losses(
    task: Task[Prepared], steps: Iterator[Prepared], schedule: Schedule, *, ahead: bool
) -> Generator[Tensor, None, None]:
    """The loss of each step; the weights are to be updated before the next one is taken.

    Args:
        task: what is trained.
        steps: the prepared batches.
        schedule: of the optimisation.
        ahead: whether the next batch is prepared in another thread meanwhile; without a gallery
            model in it, that takes longer than it saves.
    """
    with closing(made_ahead(steps)) if ahead else nullcontext(steps) as ready:
        for prepared in ready:
            with torch.autocast("cpu", torch.bfloat16, enabled=schedule.bf16):
                loss = task.loss(prepared)
            yield loss


def _diverged(what: str, name: str, epoch: int, checkpoint: Checkpoint) -> NotLearnedError:
    kept = f", whose epoch {checkpoint.epoch} is kept" if checkpoint.epoch else ""
    return NotLearnedError(
        f"{what} of the {name} became infinite or not a number in epoch {epoch + 1}, so the "
        "training was stopped.",
        "Use a lower learning rate (--lr) or a recipe with a longer warm-up, and another folder "
        f"than {checkpoint.folder.parent}{kept}.",
    )
