"""fit: resumes with exactly the same weights, refuses another run's checkpoint, and learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgecmp.errors import UserError
from edgecmp.preprocessing import Preprocessing
from edgecmp.training.augment import Augmentation
from edgecmp.training.batches import InMemory
from edgecmp.training.fit import Schedule, fit

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), dtype=np.uint8)
LABELS = torch.arange(24) % 3


class _Task:
    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(784, 3)
        )
        self.settings: dict[str, Any] = {}

    def loss(
        self, images: Tensor, indices: Tensor, progress: float, generator: torch.Generator
    ) -> Tensor:
        return nn.functional.cross_entropy(self.module(images), LABELS[indices])


def _fit(task: _Task, folder: Path, schedule: Schedule, **more: Any) -> list[dict[str, float]]:
    return fit(
        task,
        InMemory(PIXELS),
        Preprocessing(input_size=16),
        schedule,
        Augmentation(),
        seed=3,
        checkpoints=folder,
        name="test",
        **more,
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_run_killed_after_any_epoch_ends_with_the_same_weights(
    tmp_path: Path, optimizer: str
) -> None:
    schedule = Schedule(epochs=4, batch_size=8, lr=0.01, optimizer=optimizer, ema=0.9)
    whole = _Task()
    _fit(whole, tmp_path / "whole", schedule)

    class KilledError(Exception):
        pass

    for stop in (1, 2, 3):

        def after_epoch(epoch: int, stop: int = stop) -> str | None:
            if epoch == stop + 1:
                raise KilledError
            return None

        folder = tmp_path / f"stopped-{stop}"
        with pytest.raises(KilledError):
            _fit(_Task(), folder, schedule, after_epoch=after_epoch)
        resumed = _Task()
        torch.manual_seed(99)
        records = _fit(resumed, folder, schedule)
        assert [r["epoch"] for r in records] == [1, 2, 3, 4]
        for name, value in whole.module.state_dict().items():
            assert torch.equal(value, resumed.module.state_dict()[name]), name
        assert not list(folder.iterdir())


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    def after_epoch(epoch: int) -> str | None:
        if epoch == 2:
            raise KeyboardInterrupt
        return None

    with pytest.raises(KeyboardInterrupt):
        _fit(_Task(), tmp_path, Schedule(epochs=3, batch_size=8), after_epoch=after_epoch)
    with pytest.raises(UserError, match="other settings"):
        _fit(_Task(), tmp_path, Schedule(epochs=4, batch_size=8))


def test_loss_falls(tmp_path: Path) -> None:
    records = _fit(_Task(), tmp_path, Schedule(epochs=30, batch_size=8, lr=0.01, optimizer="adamw"))
    assert records[-1]["loss"] < 0.7 * records[0]["loss"]
    assert records[-1]["lr"] < records[5]["lr"]
