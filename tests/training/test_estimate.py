"""What a training costs: the statement, and that measuring it leaves no trace in the weights."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import edgecmp.training.session as session_module
import edgecmp.training.supernet as supernet_module
from edgecmp import Architecture
from edgecmp.artefacts.bundle import GalleryBundle, QueryBundle, SupernetBundle
from edgecmp.preprocessing import Preprocessing
from edgecmp.training.batches import InMemory
from edgecmp.training.checkpoint import Checkpoint
from edgecmp.training.course import Course
from edgecmp.training.estimate import Cost, about, measure
from edgecmp.training.fit import PlainTask, fit
from edgecmp.training.gallery import train_gallery
from edgecmp.training.methods import Imitation, RegressionCosine
from edgecmp.training.query import train_query
from edgecmp.training.recipes import gallery_recipe, query_recipe, supernet_recipe
from edgecmp.training.schedule import Schedule
from edgecmp.training.shown import Shown
from edgecmp.training.supernet import train_supernet
from edgecmp.training.views import FreshViews
from tests.fixtures.identity_folders import write_identities

SCHEDULE = Schedule(epochs=5, batch_size=8, lr=0.01, ema=0.9)
NO_COST = Cost(
    epochs=0,
    steps=0,
    input_size=32,
    step_seconds=0.0,
    once_seconds=0.0,
    evaluation_seconds=0.0,
    memory_bytes=0,
)
STATEMENT = r"5 epochs of 4 steps at 32 px: about .+ and \d\.\d GiB on this machine\."


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    splits = {"train": 8, "validation": 4, "test": 4}
    return str(write_identities(tmp_path_factory.mktemp("images"), splits))


@pytest.fixture(scope="module")
def gallery(data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("gallery")
    train_gallery(gallery_recipe("tiny"), out=out, data=data)
    return out


def _train(kind: str, data: str, gallery: Path, out: Path) -> dict[str, Any]:
    """Trains a network for 20 steps and returns its weights."""
    if kind == "gallery":
        train_gallery(replace(gallery_recipe("tiny"), schedule=SCHEDULE), out=out, data=data)
        return GalleryBundle.load(out).network.state_dict()
    if kind == "supernet":
        supernet = supernet_recipe("tiny")
        supernet = replace(supernet, schedule=SCHEDULE, seed_schedule=None, watched=1)
        train_supernet(supernet, out=out, data=data, gallery=gallery, start="kit")
        return SupernetBundle.load(out).network.state_dict()
    query = replace(query_recipe("tiny"), schedule=SCHEDULE)
    if kind == "query with views":
        query = replace(query, views=2, methods=(Imitation(), RegressionCosine()))
    form = Architecture.random("100M", seed=0)
    train_query(query, architecture=form, out=out, data=data, gallery=gallery)
    return QueryBundle.load(out).network.state_dict()


class _Task(PlainTask):
    """A small network with statistics, and with random numbers that no generator draws."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.1), nn.Linear(784, 3)
        )

    def prepared(self, shown: Shown, progress: float, generator: torch.Generator) -> Shown:
        noise = torch.randn(shown.images.shape, generator=generator)
        return replace(shown, images=shown.images + noise)

    def loss(self, prepared: Shown) -> Tensor:
        return nn.functional.cross_entropy(self.module(prepared.images), prepared.indices % 3)


@pytest.mark.parametrize("epochs", [2, 8])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_measured_steps_are_undone(
    optimizer: Literal["sgd", "adamw"], epochs: int, tmp_path: Path
) -> None:
    """Weights, statistics, gradients and the global random numbers are what they were."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), dtype=np.uint8)
    schedule = Schedule(epochs=epochs, batch_size=8, lr=0.1, optimizer=optimizer, ema=0.9)
    recipe = replace(gallery_recipe("tiny"), schedule=schedule)
    batches, prepared = InMemory(pixels), Preprocessing(input_size=16)
    views = FreshViews(recipe.augmentation)
    measured, untouched = _Task(), _Task()
    torch.manual_seed(7)
    cost = measure(
        measured,
        batches,
        prepared,
        recipe,
        views,
        seed=3,
        epoch=0,
        course=Course.resumed(schedule, ()),
        watched=100,
    )
    drawn = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(drawn, torch.rand(3))
    assert (cost.epochs, cost.steps, cost.input_size) == (epochs, 3, 16)
    assert cost.once_seconds == 0
    assert cost.seconds > 0
    for task in (measured, untouched):
        assert all(parameter.grad is None for parameter in task.module.parameters())
        checkpoint = Checkpoint.opened(tmp_path / str(id(task)), {})
        fit(task, batches, prepared, schedule, views, seed=3, checkpoint=checkpoint, name="test")
    for name, value in untouched.module.state_dict().items():
        assert torch.equal(measured.module.state_dict()[name], value), name


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gallery", "supernet", "query", "query with views"])
def test_the_weights_are_those_of_a_training_without_a_statement(
    kind: str,
    data: str,
    gallery: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supernet_module, "CHANCE_FACTOR", 0.0)
    with_it = _train(kind, data, gallery, tmp_path / "with")
    assert re.search(STATEMENT, capsys.readouterr().err)
    monkeypatch.setattr(session_module, "measure", lambda *_, **__: NO_COST)
    without = _train(kind, data, gallery, tmp_path / "without")
    assert "0 epochs of 0 steps" in capsys.readouterr().err
    assert list(with_it) == list(without)
    for name, value in without.items():
        assert torch.equal(with_it[name], value), name


def test_a_cost_adds_up_and_is_told_without_false_precision() -> None:
    cost = replace(
        NO_COST,
        epochs=20,
        steps=63,
        input_size=64,
        step_seconds=0.5,
        once_seconds=60.0,
        evaluation_seconds=30.0,
        memory_bytes=1_181_116_006,
    )
    assert cost.seconds == 20 * 63 * 0.5 + 90
    said = cost.sentence(resumed=False)
    assert said == "20 epochs of 63 steps at 64 px: about 12 min and 1.1 GiB on this machine."
    assert replace(cost, epochs=1).sentence(resumed=True).startswith("1 more epoch of 63 steps")
    assert [about(seconds) for seconds in (0.2, 59, 100, 5000, 7200)] == [
        *("1 s", "59 s", "2 min", "83 min", "2.0 h")
    ]


def test_the_peak_of_memory_covers_what_is_used_and_given_back() -> None:
    # In a process of its own: some machines do not let a peak begin anew, and other tests have one.
    program = """
import torch
from edgecmp.training.estimate import peak_memory, reset_peak_memory
reset_peak_memory()
before = peak_memory()
used = torch.ones(2**26)  # 256 MiB
del used
print(peak_memory() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert int(done.stdout) >= 200 * 2**20
