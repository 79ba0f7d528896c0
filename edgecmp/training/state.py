"""TrainingState: the weights and all else that a training step changes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from edgecmp.training.checkpoint import Checkpoint
from edgecmp.training.schedule import Schedule

__all__ = ["TrainingState"]


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

    def set_lr(self, step: float) -> None:
        """Sets the learning rate of a step: linear warm-up, then cosine decay to zero.

        Args:
            step: of the schedule; a training that skips epochs takes longer strides.
        """
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
