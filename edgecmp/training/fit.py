"""fit: the training loop of all networks, which resumes exactly after an interruption.

In every epoch the order, the augmentation and the paths come from a generator that is seeded by
(seed, epoch), so a checkpoint contains tensors and an epoch number, but no random state.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn

from edgecmp.errors import NotLearnedError
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import progress
from edgecmp.training.ahead import made_ahead
from edgecmp.training.batches import Batches, steps_of
from edgecmp.training.checkpoint import Checkpoint
from edgecmp.training.fields import Count, Decay, Number
from edgecmp.training.shown import Shown
from edgecmp.training.views import Views

__all__ = [
    *("PlainTask", "Schedule", "Task", "TrainingState"),
    *("document_of", "epoch_steps", "fit", "losses"),
]

Prepared = TypeVar("Prepared")


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """The optimisation: SGD with Nesterov momentum or AdamW; warm-up, then cosine decay to zero.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step; an incomplete last batch is dropped.
        lr: peak learning rate.
        weight_decay: of the weights of convolutions, linear layers and classifiers only.
        warmup_epochs: length of the linear warm-up.
        optimizer: "sgd" or "adamw".
        ema: decay of the exponential average of weights that is the result; 0: no averaging.
        bf16: forward pass in bfloat16; the weights stay float32.
        epoch_images: training images of an epoch, another random sample in each; None: all.
    """

    epochs: Count
    batch_size: Count = 128
    lr: Number = 0.1
    weight_decay: Number = 5e-4
    warmup_epochs: Number = 1.0
    optimizer: Literal["sgd", "adamw"] = "sgd"
    ema: Decay = 0.0
    bf16: bool = False
    epoch_images: Count | None = None

    def steps_of(self, batches: Batches) -> int:
        """Batches of an epoch."""
        steps = steps_of(batches, self.batch_size)
        if self.epoch_images is None:
            return steps
        return min(steps, max(1, self.epoch_images // self.batch_size))


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


def document_of(recipe: Any) -> dict[str, Any]:
    """A recipe (a dataclass of plain values and dataclasses) as a JSON document."""
    document: dict[str, Any] = json.loads(json.dumps(asdict(recipe)))
    return document


class TrainingState:
    """Weights, optimizer state and averaged weights: everything that changes during training."""

    def __init__(self, module: nn.Module, schedule: Schedule, steps: int) -> None:
        self.module, self.schedule, self.steps = module, schedule, steps
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        decayed = [p for p in module.parameters() if p.requires_grad and p.ndim >= 2]
        plain = [p for p in module.parameters() if p.requires_grad and p.ndim < 2]
        groups = [
            {"params": decayed, "weight_decay": schedule.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        self.optimizer: torch.optim.Optimizer
        if schedule.optimizer == "sgd":
            self.optimizer = torch.optim.SGD(groups, schedule.lr, momentum=0.9, nesterov=True)
        else:
            self.optimizer = torch.optim.AdamW(groups, schedule.lr)
        self.parameters = [*decayed, *plain]
        self.ema = {k: v.clone() for k, v in module.state_dict().items()} if schedule.ema else {}

    def set_lr(self, step: int) -> None:
        """Sets the learning rate of a step: linear warm-up, then cosine decay to zero."""
        warmup = self.schedule.warmup_epochs * self.steps
        total = self.schedule.epochs * self.steps
        if step < warmup:
            factor = min(1.0, (step + 1) / warmup)
        else:
            factor = 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.lr * factor

    def update(self, loss: Tensor) -> None:
        """One step of the weights, and of their average."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.average()

    @torch.no_grad()
    def average(self) -> None:
        """One step of the exponential average of weights and batch-norm statistics."""
        if not self.ema:
            return
        current = self.module.state_dict()
        floats = [k for k in self.ema if self.ema[k].is_floating_point()]
        torch._foreach_lerp_(
            [self.ema[k] for k in floats], [current[k] for k in floats], 1 - self.schedule.ema
        )

    @property
    def finite(self) -> bool:
        """Whether all weights and statistics are finite."""
        tensors = (*self.module.state_dict().values(), *self.ema.values())
        return all(bool(t.isfinite().all()) for t in tensors if t.is_floating_point())

    def averaged(self) -> _Averaged:
        """A context in which the module has the averaged weights."""
        return _Averaged(self)

    def finish(self) -> None:
        """Puts the averaged weights into the module, in evaluation mode."""
        if self.ema:
            self.module.load_state_dict(self.ema)
        self.module.eval()

    def tensors(self) -> dict[str, Tensor]:
        """All tensors of a checkpoint, by name."""
        tensors = {f"model.{k}": v for k, v in self.module.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.items()}
        for position, parameter in enumerate(self.parameters):
            for key, value in self.optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer.{position}.{key}"] = value
        return tensors

    def resume(self, checkpoint: Checkpoint) -> None:
        """Restores the state from what `tensors` returned when the checkpoint was saved.

        Raises:
            UserError: its file is missing, was changed, or has other tensors.
        """
        tensors = checkpoint.tensors()
        try:
            self._load(tensors)
        except (IndexError, KeyError, RuntimeError, ValueError) as error:
            raise checkpoint.unusable() from error

    def _load(self, tensors: dict[str, Tensor]) -> None:
        self.module.load_state_dict(
            {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
        )
        for name in self.ema:
            self.ema[name] = tensors[f"ema.{name}"].clone()
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, position, key = name.split(".", 2)
                parameter = self.parameters[int(position)]
                if value.shape == parameter.shape:  # keep channels_last, for equal bits
                    value = torch.empty_like(parameter).copy_(value)
                self.optimizer.state[parameter][key] = value


class _Averaged:
    def __init__(self, state: TrainingState) -> None:
        self.state = state
        self.current: dict[str, Tensor] = {}

    def __enter__(self) -> None:
        if self.state.ema:
            module = self.state.module
            self.current = {k: v.clone() for k, v in module.state_dict().items()}
            module.load_state_dict(self.state.ema)

    def __exit__(self, *_: object) -> None:
        if self.current:
            self.state.module.load_state_dict(self.current)
