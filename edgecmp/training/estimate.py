"""What a training costs on this machine, measured on its own first steps, which are then undone."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any, Protocol

import torch
from torch import nn

from edgecmp.preprocessing import Preprocessing
from edgecmp.training.batches import Batches
from edgecmp.training.course import Course
from edgecmp.training.fit import Task, epoch_steps, losses
from edgecmp.training.schedule import Schedule
from edgecmp.training.state import TrainingState
from edgecmp.training.views import Views
from edgecmp.wording import counted

__all__ = ["Cost", "measure"]

STEPS = 3
"""Steps that are made; they are repeated, and the repetition is timed."""

FEW = 20
"""Steps of a training for which one step, made once, is enough."""

FORWARD_SHARE = 1 / 3
"""A forward pass takes about this share of a step: the backward pass has twice its operations."""


class Lengths(Protocol):
    """The fields of a recipe that decide how long a training takes."""

    @property
    def schedule(self) -> Schedule:
        """Of the optimisation."""

    @property
    def watch_every(self) -> int:
        """Epochs between evaluations on the hold-out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """The time and memory of a training.

    Attributes:
        epochs: that are left.
        steps: of an epoch.
        input_size: height and width of the images, in pixels.
        step_seconds: time of a step.
        once_seconds: time of what is done once: the gallery model's embeddings of fixed views.
        evaluation_seconds: time of all evaluations on the hold-out.
        memory_bytes: the most memory of this process so far.
    """

    epochs: int
    steps: int
    input_size: int
    step_seconds: float
    once_seconds: float
    evaluation_seconds: float
    memory_bytes: int

    @property
    def seconds(self) -> float:
        """Time of the whole training."""
        steps = self.epochs * self.steps * self.step_seconds
        return steps + self.once_seconds + self.evaluation_seconds

    def sentence(self, *, resumed: bool) -> str:
        """ "20 epochs of 63 steps at 64 px: about 12 min and 1.1 GiB on this machine.".

        Args:
            resumed: whether earlier epochs are finished.
        """
        epochs = f"{self.epochs:,}{' more' if resumed else ''} epoch{'s' * (self.epochs != 1)}"
        return (
            f"{epochs} of {counted(self.steps, 'step')} at {self.input_size} px: about "
            f"{about(self.seconds)} and {self.memory_bytes / 2**30:.1f} GiB on this machine."
        )


def about(seconds: float) -> str:
    """A time without false precision: "20 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def measure(
    task: Task[Any],
    batches: Batches,
    preprocessing: Preprocessing,
    recipe: Lengths,
    views: Views,
    *,
    seed: int,
    epoch: int,
    course: Course,
    watched: int,
) -> Cost:
    """Makes the next steps of a training, times them, and restores the task bit for bit.

    They are the steps with which `fit` goes on, or the first in which the gallery model embeds
    images, so that what it embeds for them need not be embedded then. The first pass over the steps
    compiles kernels, so the second is timed, except in a training of less than 20 steps.

    Args:
        task: what is trained.
        batches: the prepared training images.
        preprocessing: of the trained network.
        recipe: of the training.
        views: how the epochs change the training images.
        seed: of the training.
        epoch: number of finished epochs.
        course: the epochs that are left, of which there are some.
        watched: images that pass the network in one evaluation on the hold-out.
    """
    schedule, left = recipe.schedule, range(epoch, epoch + course.left)
    shown = next(filter(views.asks, left), epoch)
    steps = schedule.steps_of(batches)
    few = len(left) * steps < FEW
    reset_peak_memory()
    with _undone(task.module):
        state = TrainingState(task.module, schedule, steps)
        task.module.train()

        def seconds_of(count: int, *, ahead: bool) -> list[float]:
            """Of each of so many steps, the first of which waits until its batch is prepared."""
            generator = torch.Generator().manual_seed(seed * 100_003 + shown)
            ready = epoch_steps(
                task,
                batches,
                preprocessing,
                schedule,
                views,
                epoch=shown,
                course=course,
                generator=generator,
            )
            seconds, started = [], time.monotonic()
            with closing(losses(task, islice(ready, count), schedule, ahead=ahead)) as of_steps:
                for step, loss in enumerate(of_steps):
                    state.set_lr(course.position * steps + course.stride * step)
                    state.update(loss)
                    seconds.append(time.monotonic() - started)
                    started = time.monotonic()
            return seconds

        ahead, known = views.asks(shown), views.remembers  # by the second pass
        first = seconds_of(1 if few else min(STEPS, steps), ahead=ahead)
        again = first if few else seconds_of(len(first), ahead=ahead and not known)
    later = mean(again[1:]) if len(again) > 1 else again[0]
    step_seconds = later + max(0.0, again[0] - later) / steps
    saved = min(one - other for one, other in zip(first, again, strict=True))
    per_image = FORWARD_SHARE * later / min(schedule.batch_size, len(batches))
    return Cost(
        epochs=len(left),
        steps=steps,
        input_size=preprocessing.input_size,
        step_seconds=step_seconds,
        once_seconds=views.unknown(left) * steps * max(0.0, saved),
        evaluation_seconds=_evaluations(recipe, left) * watched * per_image,
        memory_bytes=peak_memory(),
    )


def _evaluations(recipe: Lengths, left: range) -> int:
    """Evaluations after the epochs that are left, and the one of the finished network."""
    due = [(one + 1) % recipe.watch_every == 0 or one == left[-1] for one in left]
    return sum(due) + 1


@contextmanager
def _undone(module: nn.Module) -> Iterator[None]:
    """Restores weights, statistics, gradients and the random numbers after the block."""
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with torch.random.fork_rng(devices=[]):
        yield
    module.load_state_dict(before)
    for parameter in module.parameters():
        parameter.grad = None


def reset_peak_memory() -> None:
    """Lets `peak_memory` begin anew, where the system allows it (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """The most memory of this process in bytes, since `reset_peak_memory` or its start."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024
