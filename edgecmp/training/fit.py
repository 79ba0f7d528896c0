"""fit: the training loop of all networks, which resumes exactly after an interruption.

In every epoch the order, the augmentation and the paths come from a generator that is seeded by
(seed, epoch), so a checkpoint contains tensors and an epoch number, but no random state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext
from itertools import islice
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from edgecmp.errors import NotLearnedError
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import progress
from edgecmp.training.ahead import made_ahead
from edgecmp.training.batches import Batches
from edgecmp.training.checkpoint import Checkpoint
from edgecmp.training.schedule import Schedule
from edgecmp.training.shown import Shown
from edgecmp.training.state import TrainingState
from edgecmp.training.views import Views

__all__ = ["PlainTask", "Task", "epoch_steps", "fit", "losses"]

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
    after_epoch: Callable[[int], str | None] | None = None,
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
        after_epoch: takes the number of finished epochs; may return text for the epoch's line.

    Returns:
        One record per epoch, those before an interruption included: "epoch", "loss", "lr",
        "seconds".

    Raises:
        NotLearnedError: the loss or a weight is no longer finite.
        UserError: the checkpoint cannot be read or written.
    """
    state = TrainingState(task.module, schedule, schedule.steps_of(batches))
    if checkpoint.epoch:
        state.resume(checkpoint)
    first, records = checkpoint.epoch, list(checkpoint.records)
    total_steps, before = schedule.epochs * state.steps, first * state.steps
    with progress(name, total=total_steps, unit="step", before=before) as bar:
        for epoch in range(first, schedule.epochs):
            started = time.monotonic()
            generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
            torch.manual_seed(seed * 100_003 + epoch)
            task.module.train()
            total = 0.0
            steps = epoch_steps(
                task, batches, preprocessing, schedule, views, epoch=epoch, generator=generator
            )
            ahead = views.asks(epoch)
            with closing(losses(task, steps, schedule, ahead=ahead)) as of_steps:
                for step, loss in enumerate(of_steps):
                    state.set_lr(epoch * state.steps + step)
                    if not loss.isfinite():
                        raise _diverged("The loss", name, epoch, checkpoint)
                    state.update(loss)
                    total += loss.item()
                    bar.advance(1)
            record = {
                "epoch": epoch + 1,
                "loss": total / state.steps,
                "lr": state.optimizer.param_groups[0]["lr"],
                "seconds": time.monotonic() - started,
            }
            if not state.finite:
                raise _diverged("A weight", name, epoch, checkpoint)
            records.append(record)
            views.sync()
            checkpoint.save(state.tensors(), epoch + 1, records)
            line = f"epoch {epoch + 1}/{schedule.epochs} loss {record['loss']:.4f}"
            with state.averaged():
                extra = after_epoch(epoch + 1) if after_epoch is not None else None
            bar.note(f"{line} {record['seconds']:.0f} s{'  ' + extra if extra else ''}")
    state.finish()
    return records


def epoch_steps(
    task: Task[Prepared],
    batches: Batches,
    preprocessing: Preprocessing,
    schedule: Schedule,
    views: Views,
    *,
    epoch: int,
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
        generator: seeded for the epoch.
    """
    steps = schedule.steps_of(batches)
    view = views.of_epoch(epoch)
    drawn = islice(batches.epoch(schedule.batch_size, generator), steps)
    for step, batch in enumerate(drawn):
        shown = view.shown(batch, preprocessing, generator)
        yield task.prepared(shown, (epoch + step / steps) / schedule.epochs, generator)


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
