"""Batches from memory and from shards; the latter are the same for any number of processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from edgecmp.data import ImageSet, load_dataset, quarter_turns
from edgecmp.data.shard_writer import write_shards
from edgecmp.errors import UserError
from edgecmp.preprocessing import Preprocessing
from edgecmp.training import batches as batches_module
from edgecmp.training.augment import Augmentation
from edgecmp.training.batches import InMemory, Streamed, open_batches, steps_of
from edgecmp.training.checkpoint import Checkpoint
from edgecmp.training.fit import PlainTask, fit
from edgecmp.training.schedule import Schedule
from edgecmp.training.shown import Shown
from edgecmp.training.views import FreshViews

SIDE = Preprocessing(input_size=16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of 10 of the 400 training images, which are 20 of each of 20 colours."""
    root = tmp_path_factory.mktemp("stream")
    random = np.random.default_rng(0)
    for split, identities in (("train", 20), ("val", 2), ("test", 2)):
        for identity in range(identities):
            place = root / "images" / split / f"{split}{identity}"
            place.mkdir(parents=True)
            colour = random.integers(0, 256, 3)
            for number in range(20):
                noisy = (colour + random.normal(0, 30, (16, 16, 3))).clip(0, 255)
                Image.fromarray(noisy.astype(np.uint8)).save(place / f"{number}.png")
    write_shards(load_dataset(root / "images"), root / "shards", images_per_shard=10, lossless=True)
    return root


@pytest.fixture(scope="module")
def train(folder: Path) -> ImageSet:
    return load_dataset(folder / "shards").train


def drawn(batches: Any, seed: int, size: int = 32) -> tuple[NDArray[Any], NDArray[Any], Tensor]:
    """All indices and images of an epoch, and the next random number of the generator."""
    generator = torch.Generator().manual_seed(seed)
    parts = list(batches.epoch(size, generator))
    assert len(parts) == steps_of(batches, size)
    indices = np.concatenate([part.indices.numpy() for part in parts])
    images = np.concatenate([part.images.numpy() for part in parts])
    return indices, images, torch.rand(1, generator=generator)


def test_batches_from_memory_follow_a_permutation() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3), dtype=np.uint8)
    indices, images, after = drawn(InMemory(pixels), seed=7, size=8)
    generator = torch.Generator().manual_seed(7)
    order = torch.randperm(50, generator=generator).numpy()[:48]
    assert np.array_equal(indices, order)
    assert np.array_equal(images, pixels[order])
    assert torch.equal(after, torch.rand(1, generator=generator))
    few = list(InMemory(pixels).epoch(64, torch.Generator().manual_seed(0)))
    assert [len(part.indices) for part in few] == [50]  # at least one batch


def test_the_batches_do_not_depend_on_the_number_of_processes(
    folder: Path, train: ImageSet
) -> None:
    whole = load_dataset(folder / "images").train.pixels(SIDE)
    assert load_dataset(folder / "images").train.keys == train.keys
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = drawn(Streamed(train, SIDE, 0), seed=3)
    assert np.array_equal(first[1], whole[first[0]])  # each image has its index
    assert len(set(first[0].tolist())) == len(first[0]) == 384
    for workers in (1, 2):
        again = drawn(Streamed(train, SIDE, workers), seed=3)
        assert np.array_equal(again[0], first[0])
        assert np.array_equal(again[1], first[1])
        assert torch.equal(again[2], first[2])
    assert torch.equal(state, torch.random.get_rng_state())  # which networks use
    assert not np.array_equal(first[0], drawn(Streamed(train, SIDE, 0), seed=4)[0])


@given(
    shard_of=st.lists(st.integers(0, 40), min_size=1, max_size=200),
    seed=st.integers(0, 2**31),
    window=st.integers(1, 9),
)
def test_an_order_contains_every_image_once_and_few_shards_at_a_time(
    shard_of: list[int], seed: int, window: int
) -> None:
    class Source:
        shards = np.array(shard_of)
        keys = tuple(map(str, range(len(shard_of))))

    zeros = np.zeros(len(shard_of), np.int64)
    images = ImageSet(
        name="order",
        identities=zeros,
        identity_names=("a",),
        domains=zeros,
        domain_names=("",),
        source=Source(),  # type: ignore[arg-type]
        rows=np.arange(len(shard_of)),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches_module, "WINDOW", window)
        streamed = Streamed(images, SIDE, 0)
        order = streamed.order(torch.Generator().manual_seed(seed))
        again = streamed.order(torch.Generator().manual_seed(seed))
    assert np.array_equal(order, again)
    assert sorted(order.tolist()) == list(range(len(shard_of)))
    places: dict[int, list[int]] = {}
    for place, index in enumerate(order.tolist()):
        places.setdefault(shard_of[index], []).append(place)
    for place in range(len(order)):
        assert sum(met[0] <= place <= met[-1] for met in places.values()) <= window


def test_images_of_a_window_are_mixed(train: ImageSet) -> None:
    """A batch has about as many identities as a uniform sample."""
    order = Streamed(train, SIDE, 0).order(torch.Generator().manual_seed(0))
    counts = [len(set(train.identities[order[s : s + 32]])) for s in range(0, 384, 32)]
    fair = 20 * (1 - (1 - 1 / 20) ** 32)  # 16.1
    assert abs(np.mean(counts) - fair) < 1.5


def test_images_in_shards_are_streamed_and_others_are_in_memory(
    folder: Path, train: ImageSet
) -> None:
    assert isinstance(open_batches(load_dataset(folder / "images").train, SIDE), InMemory)
    assert isinstance(open_batches(train, SIDE), Streamed)
    rotated = open_batches(quarter_turns(train), SIDE, workers=1)
    assert len(rotated) == 1600
    indices, images, _ = drawn(rotated, seed=0, size=400)
    some = np.arange(0, 1600, 100)
    assert np.array_equal(images[some], quarter_turns(train).pixels(SIDE, indices[some]))


def test_a_shard_that_breaks_in_a_worker_is_a_users_error(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    write_shards(load_dataset(folder / "images"), out, images_per_shard=50)
    train = load_dataset(out).train
    (out / "train-00003.tar").unlink()
    with pytest.raises(
        UserError, match=r"train-00003.tar cannot be read: No such file.*Restore the shard"
    ):
        drawn(Streamed(train, SIDE, 2), seed=0)


class _Task(PlainTask):
    def __init__(self, images: ImageSet) -> None:
        torch.manual_seed(0)
        self.module = nn.Sequential(nn.Flatten(), nn.Linear(768, 20))
        self.settings: dict[str, Any] = {}
        self.labels = torch.from_numpy(images.identities)

    def loss(self, prepared: Shown) -> Tensor:
        images, labels = prepared.images, self.labels[prepared.indices]
        return nn.functional.cross_entropy(self.module(images), labels)


def test_training_on_a_stream_learns_and_resumes_with_the_same_weights(
    folder: Path, train: ImageSet, tmp_path: Path
) -> None:
    class KilledError(Exception):
        pass

    def killed(epoch: int, last: bool) -> str | None:
        if epoch == 2:
            raise KilledError
        return None

    def run(place: Path, workers: int, after_epoch: Any = None) -> tuple[_Task, list[Any]]:
        task = _Task(train)
        records = fit(
            task,
            Streamed(train, SIDE, workers),
            SIDE,
            Schedule(epochs=3, batch_size=32, lr=0.05),
            FreshViews(Augmentation()),
            seed=1,
            checkpoint=Checkpoint.opened(place, {}),
            name="stream",
            after_epoch=after_epoch,
        )
        return task, records

    whole, records = run(tmp_path / "whole", 1)
    assert records[-1]["loss"] < 0.8 * records[0]["loss"]
    with pytest.raises(KilledError):
        run(tmp_path / "killed", 2, killed)
    resumed, _ = run(tmp_path / "killed", 0)
    for name, value in whole.module.state_dict().items():
        assert torch.equal(value, resumed.module.state_dict()[name]), name
