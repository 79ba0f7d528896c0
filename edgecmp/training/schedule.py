"""Schedule: the settings of the optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgecmp.training.batches import Batches, steps_of
from edgecmp.training.fields import Count, Decay, Number, Positive

__all__ = ["Schedule"]


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
        time_s: seconds that the training takes, from its command's begin on. On a machine that is
            too slow for all epochs it makes fewer, on a faster one up to twice as many, and the
            learning rate decays accordingly. A training that is resumed has what the finished
            epochs left of them. None: it makes all epochs, however long they take.
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
    time_s: Positive | None = None

    def steps_of(self, batches: Batches) -> int:
        """Batches of an epoch."""
        steps = steps_of(batches, self.batch_size)
        if self.epoch_images is None:
            return steps
        return min(steps, max(1, self.epoch_images // self.batch_size))
