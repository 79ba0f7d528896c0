"""fit: resumes with exactly the same weights, stops when it diverges, and learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgecmp.errors import UserError
from edgecmp.preprocessing import Preprocessing
from edgecmp.training.augment import Augmentation
from edgecmp.training.batches import InMemory
from edgecmp.training.checkpoint import Checkpoint
from edgecmp.training.fit import PlainTask, fit
from edgecmp.training.schedule import Schedule
from edgecmp.training.shown import Shown
from edgecmp.training.views import FreshViews

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), dtype=np.uint8)
LABELS = torch.arange(24) % 3


class _Task(PlainTask):
    def __init__(self) -> None:
        torch.manual_seed(0)
        self.progress: list[float] = []
        self.first = nn.Conv2d(3, 4, 3)
        self.module = nn.Sequential(
            self.first,
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.1),  # random numbers that are not drawn from the generator
            nn.Linear(784, 3),
        )

    def prepared(self, shown: Shown, progress: float, generator: torch.Generator) -> Shown:
        self.progress.append(progress)
        return shown

    def loss(self, prepared: Shown) -> Tensor:
        images, labels = prepared.images, LABELS[prepared.indices]
        return nn.functional.cross_entropy(self.module(images), labels)


def _fit(task: _Task, folder: Path, schedule: Schedule, **more: Any) -> list[dict[str, float]]:
    return fit(
        task,
        InMemory(PIXELS),
        Preprocessing(input_size=16),
        schedule,
        FreshViews(Augmentation()),
        seed=3,
        checkpoint=Checkpoint.opened(folder, {}),
        name="test",
        **more,
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_run_killed_after_any_epoch_ends_with_the_same_weights(
    tmp_path: Path, optimizer: Literal["sgd", "adamw"]
) -> None:
    schedule = Schedule(epochs=4, batch_size=8, lr=0.01, optimizer=optimizer, ema=0.9)
    whole = _Task()
    _fit(whole, tmp_path / "whole", schedule)

    class KilledError(Exception):
        pass

    for stop in (1, 2, 3):

        def after_epoch(epoch: int, last: bool, stop: int = stop) -> str | None:
            if epoch == stop:
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
        kept = Checkpoint.opened(folder, {})
        assert kept.epoch == 4
        again = _Task()
        assert _fit(again, folder, schedule) == records  # nothing is left to train
        for name, value in whole.module.state_dict().items():
            assert torch.equal(value, again.module.state_dict()[name]), name
        kept.clear()
        assert not folder.exists()


def test_a_training_makes_as_many_epochs_as_it_has_time_for(tmp_path: Path) -> None:
    """And resumes with the same weights; the learning rate and the progress reach their ends."""
    schedule = Schedule(epochs=6, batch_size=8, lr=0.01, warmup_epochs=0, ema=0.9)
    whole = _Task()
    unlimited = _fit(_Task(), tmp_path / "unlimited", schedule)
    plenty = _fit(_Task(), tmp_path / "plenty", schedule, time_left=lambda: 1e6)
    assert [record["left"] for record in plenty] == list(range(10, -1, -1))
    assert [record["position"] for record in plenty[:3]] == [1, 1.5, 2]
    assert plenty[1]["lr"] > unlimited[1]["lr"] > plenty[2]["lr"]
    assert 0 < plenty[-1]["lr"] < unlimited[-1]["lr"]
    short = _fit(whole, tmp_path / "short", schedule, time_left=lambda: 0.0)
    assert [(record["position"], record["left"]) for record in short] == [(1, 1), (6, 0)]
    assert short[0]["lr"] == unlimited[0]["lr"]
    assert 0 < short[1]["lr"] < short[0]["lr"] / 3
    steps = [1 / 6 + 5 / 6 * step / 3 for step in range(3)]
    assert whole.progress[3:] == pytest.approx(steps)

    class KilledError(Exception):
        pass

    def kill(epoch: int, last: bool) -> str | None:
        raise KilledError

    with pytest.raises(KilledError):
        _fit(_Task(), tmp_path / "killed", schedule, after_epoch=kill, time_left=lambda: 0.0)
    resumed = _Task()
    _fit(resumed, tmp_path / "killed", schedule, time_left=lambda: 0.0)
    for name, value in whole.module.state_dict().items():
        assert torch.equal(value, resumed.module.state_dict()[name]), name
    assert _fit(_Task(), tmp_path / "killed", schedule, time_left=lambda: 0.0)[1]["left"] == 0


def test_a_training_that_diverges_stops_and_keeps_the_last_good_epoch(tmp_path: Path) -> None:
    """It ends in the epoch in which it diverges, instead of training on for hours."""

    class Diverging(_Task):
        def loss(self, prepared: Shown) -> Tensor:
            loss, progress = super().loss(prepared), self.progress.pop(0)
            return loss if progress < 0.6 else loss * torch.inf

    schedule = Schedule(epochs=4, batch_size=8)
    with pytest.raises(
        UserError, match=r"loss of the test became infinite .* in epoch 3.*whose epoch 2 is kept"
    ):
        _fit(Diverging(), tmp_path, schedule)
    good = Checkpoint.opened(tmp_path, {})
    assert good.epoch == 2
    assert all(tensor.isfinite().all() for tensor in good.tensors().values())


def test_weights_that_are_not_finite_are_never_kept(tmp_path: Path) -> None:
    """The last step of an epoch may destroy the weights after a finite loss."""

    class Exploding(_Task):
        def loss(self, prepared: Shown) -> Tensor:
            loss, progress = super().loss(prepared), self.progress.pop(0)
            if 0.3 < progress < 0.5:  # the last of the three steps of epoch 1
                loss = loss + (self.first.weight * 0).sum().sqrt()  # 0, of infinite slope
            return loss

    with pytest.raises(UserError, match=r"A weight of the test became .* in epoch 1"):
        _fit(Exploding(), tmp_path, Schedule(epochs=2, batch_size=8))
    assert Checkpoint.opened(tmp_path, {}).epoch == 0


def test_an_epoch_of_a_part_of_the_images_is_another_sample_each_time(tmp_path: Path) -> None:
    seen: list[int] = []

    class Watching(_Task):
        def loss(self, prepared: Shown) -> Tensor:
            seen.extend(prepared.indices.tolist())
            return super().loss(prepared)

    _fit(Watching(), tmp_path, Schedule(epochs=3, batch_size=8, lr=0.01, epoch_images=17))
    epochs = [set(seen[start : start + 16]) for start in (0, 16, 32)]
    assert [len(epoch) for epoch in epochs] == [16, 16, 16]  # of 24, in two whole batches
    assert len(seen) == 48
    assert epochs[0] != epochs[1] != epochs[2]


def test_loss_falls(tmp_path: Path) -> None:
    records = _fit(_Task(), tmp_path, Schedule(epochs=30, batch_size=8, lr=0.01, optimizer="adamw"))
    assert records[-1]["loss"] < 0.7 * records[0]["loss"]
    assert records[-1]["lr"] < records[5]["lr"]
