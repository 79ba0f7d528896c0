"""Course: where a training stands in its schedule, which it may pass through in more or less time.

The learning rate follows the schedule from its begin to its end in any case. If there is less time
than the schedule's epochs take, each one that is left covers more of the schedule, and if there is
more, it covers less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Self

from edgecmp.training.schedule import Schedule

__all__ = ["Course"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """The part of a schedule that is behind a training, and the epochs that are left.

    Attributes:
        epochs: of the schedule.
        position: epochs of the schedule that are behind the training, 0..epochs.
        left: epochs that it still makes, which cover the rest of the schedule in equal parts.
    """

    epochs: int
    position: float
    left: int

    @classmethod
    def resumed(cls, schedule: Schedule, records: Sequence[Mapping[str, Any]]) -> Self:
        """The course after the epochs of these records.

        Args:
            schedule: of the training.
            records: one per finished epoch, with what `facts` said after it.
        """
        if records and "left" in records[-1]:
            position, left = float(records[-1]["position"]), int(records[-1]["left"])
        else:
            position, left = float(len(records)), schedule.epochs - len(records)
        return cls(epochs=schedule.epochs, position=position, left=left)

    @property
    def facts(self) -> dict[str, float]:
        """What a record keeps of a course that follows the time."""
        return {"position": self.position, "left": self.left}

    @property
    def stride(self) -> float:
        """Epochs of the schedule that the next epoch covers; 1 unless it follows the time."""
        return (self.epochs - self.position) / self.left

    def at(self, share: float) -> float:
        """The position after a share of the next epoch, 0..1."""
        return self.position + self.stride * share

    def after_epoch(self) -> Self:
        """The course after the next epoch."""
        ended = self.left == 1
        position = float(self.epochs) if ended else self.at(1.0)
        return replace(self, position=position, left=self.left - 1)

    def within(self, seconds: float, expected: Sequence[float]) -> Self:
        """With as many epochs as there is time for, but at least one.

        Args:
            seconds: that are left.
            expected: seconds of each of the coming epochs, `most_left` of them.
        """
        fitting = sum(total <= seconds for total in accumulate(expected))
        return replace(self, left=max(1, fitting))

    @property
    def most_left(self) -> int:
        """The most epochs that may cover the rest of the schedule: two for each of its own."""
        return max(1, math.floor(2 * (self.epochs - self.position) + 1e-9))
