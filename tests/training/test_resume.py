"""Trainings resume only what they are, and a finished one is neither repeated nor overwritten."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import edgecmp.training.supernet as supernet_module
from edgecmp import Architecture, UserError
from edgecmp.artefacts.bundle import GalleryBundle, QueryBundle, SupernetBundle
from edgecmp.artefacts.manifest import Manifest
from edgecmp.gallery.source import ModelSource, TableSource
from edgecmp.storage import folder_lock
from edgecmp.training import gallery as gallery_module
from edgecmp.training.checkpoint import Checkpoint
from edgecmp.training.gallery import train_gallery
from edgecmp.training.methods import method_named
from edgecmp.training.query import train_query
from edgecmp.training.recipes import gallery_recipe, query_recipe, supernet_recipe
from edgecmp.training.report import TrainingReport
from edgecmp.training.schedule import Schedule
from edgecmp.training.state import TrainingState
from edgecmp.training.supernet import train_supernet
from tests.fixtures.identity_folders import write_identities

SPLITS = {"train": 8, "validation": 10, "test": 6}
SCHEDULE = Schedule(epochs=3, batch_size=16, lr=0.01)
ARCHITECTURE = Architecture.random("100M", seed=0, input_size=32)


@dataclass(frozen=True)
class World:
    """Two data sets that differ in one pixel of one training image, and two gallery models."""

    data: str
    other_data: str
    gallery: Path
    other_gallery: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    data = write_identities(folder / "data", SPLITS)
    other = shutil.copytree(data, folder / "other-data")
    _change_a_pixel(other / "train" / "train-3" / "2.png")
    for seed, name in enumerate(("gallery", "other-gallery")):
        train_gallery(gallery_recipe("tiny"), out=folder / name, data=str(data), seed=seed)
    return World(str(data), str(other), folder / "gallery", folder / "other-gallery")


def _change_a_pixel(path: Path) -> None:
    pixels = np.array(Image.open(path))
    pixels[5, 5] ^= 1
    Image.fromarray(pixels).save(path)


def _train(kind: str, world: World, out: Path, **changed: Any) -> TrainingReport:
    """A training of three epochs in `world`, with some arguments changed."""
    epochs = changed.pop("epochs", 3)
    given = {"out": out, "data": world.data, **changed}
    schedule = replace(SCHEDULE, epochs=epochs)
    if kind == "gallery":
        return train_gallery(replace(gallery_recipe("tiny"), schedule=schedule), **given)
    given = {"gallery": world.gallery, **given}
    if kind == "supernet":
        schedule = replace(schedule, lr=0.001)
        recipe = replace(supernet_recipe("tiny"), schedule=schedule, seed_schedule=None, watched=1)
        return train_supernet(recipe, **given)
    method = given.pop("method", "regression-mse")
    query = replace(query_recipe("tiny"), schedule=schedule, methods=(method_named(method),))
    return train_query(query, architecture=ARCHITECTURE, **given)


@contextmanager
def _interrupted(after: int) -> Iterator[None]:
    """Ctrl-C once that many epochs are in the checkpoint."""
    save = Checkpoint.save

    def interrupted(checkpoint: Checkpoint, tensors: Any, epoch: int, records: Any) -> None:
        save(checkpoint, tensors, epoch, records)
        if epoch == after:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.fixture(autouse=True)
def _any_supernet_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supernet_module, "CHANCE_FACTOR", 0.0)


def _nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(*_: Any, **__: Any) -> None:
        raise AssertionError("A training step was made.")

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    monkeypatch.setattr(torch.optim.AdamW, "step", step)


@pytest.mark.slow(quick=["query"])
@pytest.mark.parametrize("kind", ["gallery", "query", "supernet"])
def test_an_interrupted_training_resumes_only_with_its_own_inputs(
    kind: str, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with _interrupted(after=1):
        _train(kind, world, tmp_path)
    refused: dict[str, dict[str, Any]] = {
        "the training data": {"data": world.other_data},
        "epochs 3, now 5": {"epochs": 5},
        "seed 0, now 1": {"seed": 1},
    }
    if kind != "gallery":
        refused["the gallery model"] = {"gallery": world.other_gallery}
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for said, changed in refused.items():
        with pytest.raises(UserError, match=f"unfinished training with other settings: {said}"):
            _train(kind, world, tmp_path, **changed)
    assert {path: path.read_bytes() for path in before} == before
    capsys.readouterr()
    report = _train(kind, world, tmp_path)
    said = capsys.readouterr().err
    assert "Resuming after epoch 1 of 3" in said
    assert "32 training images of 8 identities; hold-out: 30 queries of 10 identities" in said
    assert [record["epoch"] for record in report.records] == [1, 2, 3]
    assert not (tmp_path / "checkpoint").exists()


def test_other_preprocessing_of_the_gallery_model_is_refused(world: World, tmp_path: Path) -> None:
    """Its weights are the same, so their hash alone would not tell."""
    bundle = GalleryBundle.load(world.gallery)
    shifted = bundle.manifest.model_copy(
        update={"preprocessing": {**bundle.manifest.preprocessing, "mean": [0.4, 0.5, 0.5]}}
    )
    replace(bundle, manifest=shifted).save(tmp_path / "shifted", half=True)
    assert GalleryBundle.load(tmp_path / "shifted").sha256 == bundle.sha256
    with _interrupted(after=1):
        _train("query", world, tmp_path / "out")
    with pytest.raises(UserError, match="other settings: the gallery model"):
        _train("query", world, tmp_path / "out", gallery=tmp_path / "shifted")


def test_a_finished_training_has_its_own_hold_out(world: World, tmp_path: Path) -> None:
    """Its results are of that hold-out, so they are not shown for another."""
    data = shutil.copytree(world.data, tmp_path / "data")
    _train("gallery", world, tmp_path / "out", data=str(data))
    _change_a_pixel(data / "validation" / "validation-0" / "1.png")
    with pytest.raises(UserError, match=r"finished training with other settings: .*the hold-out"):
        _train("gallery", world, tmp_path / "out", data=str(data))


@pytest.mark.slow(quick=["query"])
@pytest.mark.parametrize("kind", ["gallery", "query", "supernet"])
def test_a_finished_training_is_not_repeated_and_no_other_replaces_it(
    kind: str,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = _train(kind, world, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    _nothing_is_trained(monkeypatch)
    capsys.readouterr()
    again = _train(kind, world, tmp_path)
    assert again.to_dict() == first.to_dict()
    assert "contains the result of this training, so nothing is trained" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"finished training with other settings: epochs 3, now 4"):
        _train(kind, world, tmp_path, epochs=4)
    with pytest.raises(UserError, match="other settings: the training data"):
        _train(kind, world, tmp_path, data=world.other_data)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_network_of_unknown_origin_is_not_replaced(world: World, tmp_path: Path) -> None:
    bundle = GalleryBundle.load(world.other_gallery).save(tmp_path)
    with pytest.raises(UserError, match=r"already contains a gallery network.*not known how"):
        _train("gallery", world, tmp_path)
    (tmp_path / "training.json").write_text('{"format": "edgecmp-training/1"')
    with pytest.raises(UserError, match=r"not known how.*or remove .* to train it again"):
        _train("gallery", world, tmp_path)
    assert GalleryBundle.load(tmp_path).sha256 == bundle.sha256


def test_a_finished_network_that_was_damaged_is_not_taken_for_one(
    world: World, tmp_path: Path
) -> None:
    _train("query", world, tmp_path)
    weights = tmp_path / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match=r"not those that its manifest.json names\. Name another"):
        _train("query", world, tmp_path)


def _sha256(folder: Path) -> str:
    return Manifest.load(folder).weights_sha256


@pytest.mark.slow(quick=["query"])
@pytest.mark.parametrize("kind", ["gallery", "query", "supernet"])
def test_epochs_outlive_a_network_that_could_not_be_saved(
    kind: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rerun trains nothing and ends like an undisturbed training."""
    whole = _train(kind, world, tmp_path / "whole")
    bundle = {"gallery": GalleryBundle, "query": QueryBundle, "supernet": SupernetBundle}[kind]

    def full(*_: Any, **__: Any) -> None:
        raise UserError("The disk is full: it was not written.", "Free some space.")

    with monkeypatch.context() as patch:
        patch.setattr(bundle, "save", full)
        with pytest.raises(
            UserError, match=r"disk is full.*All epochs are kept in .*checkpoint: the same command"
        ):
            _train(kind, world, tmp_path / "out")
    _nothing_is_trained(monkeypatch)
    report = _train(kind, world, tmp_path / "out")
    assert report.rows == whole.rows
    assert [record["loss"] for record in report.records] == [
        record["loss"] for record in whole.records
    ]
    assert _sha256(tmp_path / "out") == _sha256(tmp_path / "whole")


def test_a_supernet_that_has_not_learned_keeps_its_epochs(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(supernet_module, "CHANCE_FACTOR", 100.0)
        patch.setattr(supernet_module, "LARGEST_CHANCE", 100.0)
        with pytest.raises(UserError, match=r"near chance.*All epochs are kept in .*remove .* to"):
            _train("supernet", world, tmp_path)
    assert not (tmp_path / "manifest.json").exists()
    _nothing_is_trained(monkeypatch)
    _train("supernet", world, tmp_path)
    assert SupernetBundle.load(tmp_path).gallery_sha256 == _sha256(world.gallery)


def test_a_subnet_that_cannot_be_evaluated_ends_no_training(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before the end it is told; at the end the supernet is refused, and its epochs are kept."""

    def not_finite(*_: Any, **__: Any) -> None:
        raise UserError("1 of 10 embeddings contain NaN.", "Train again.")

    monkeypatch.setattr(supernet_module, "random_subnets", not_finite)
    with pytest.raises(
        UserError,
        match=r"not written, since a random subnet cannot be .*NaN\..*All epochs are kept",
    ):
        _train("supernet", world, tmp_path)
    assert "epoch 3/3" in (said := capsys.readouterr().err)
    assert "no result on the hold-out: 1 of 10 embeddings contain NaN." in said
    assert (tmp_path / "checkpoint" / "checkpoint-3.safetensors").exists()


def test_weights_that_overflow_float16_keep_the_epochs(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = TrainingState.finish

    def huge(state: Any) -> None:
        finish(state)
        with torch.no_grad():
            state.parameters[0].fill_(1e6)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingState, "finish", huge)
        with pytest.raises(UserError, match=r"not finite in float16.*All epochs are kept"):
            _train("gallery", world, tmp_path)
    assert (tmp_path / "checkpoint" / "checkpoint-3.safetensors").exists()
    _nothing_is_trained(monkeypatch)
    _train("gallery", world, tmp_path)
    assert GalleryBundle.load(tmp_path).embedding_dim == 128


def test_a_seed_network_is_reused_only_with_its_own_images(world: World, tmp_path: Path) -> None:
    schedule = replace(SCHEDULE, epochs=1)
    recipe = replace(supernet_recipe("tiny"), schedule=schedule, seed_schedule=schedule, watched=1)
    given: dict[str, Any] = {"gallery": world.gallery, "data": world.data}
    train_supernet(recipe, out=tmp_path / "whole", **given)
    shutil.copytree(tmp_path / "whole" / "seed", tmp_path / "out" / "seed")
    seed = tmp_path / "out" / "seed" / "weights.safetensors"
    written = seed.stat().st_mtime_ns
    refused: dict[str, dict[str, Any]] = {
        "the training data": {"data": world.other_data},
        "the gallery model": {"gallery": world.other_gallery},
    }
    for said, changed in refused.items():
        with pytest.raises(UserError, match=f"seed contains a finished training .*: {said}"):
            train_supernet(recipe, out=tmp_path / "out", **given | changed)
    train_supernet(recipe, out=tmp_path / "out", **given)
    assert seed.stat().st_mtime_ns == written
    assert _sha256(tmp_path / "out") == _sha256(tmp_path / "whole")


def test_a_second_training_in_the_same_folder_is_refused(world: World, tmp_path: Path) -> None:
    with (
        folder_lock(tmp_path / "out", "training"),
        pytest.raises(UserError, match=r"Another training is writing to .*out"),
    ):
        _train("gallery", world, tmp_path / "out")
    _train("gallery", world, tmp_path / "out")
    with folder_lock(tmp_path / "out", "training"):
        pass  # it was released


def test_a_refusal_comes_before_anything_expensive(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gallery does not embed the training images before the settings are compared."""
    for kind, changed in (("gallery", {"start": world.gallery}), ("query", {})):
        with _interrupted(after=1):
            _train(kind, world, tmp_path / kind, **changed)

    def embedded(*_: Any, **__: Any) -> None:
        raise AssertionError("Images were embedded.")

    with monkeypatch.context() as patch:
        patch.setattr(gallery_module, "embed", embedded)
        patch.setattr(ModelSource, "embeddings", embedded)
        patch.setattr(TableSource, "embeddings", embedded)
        for kind, changed in (("gallery", {"start": world.gallery}), ("query", {})):
            with pytest.raises(UserError, match="other settings: epochs 3, now 9"):
                _train(kind, world, tmp_path / kind, epochs=9, **changed)


def test_a_training_that_is_refused_leaves_no_folder(world: World, tmp_path: Path) -> None:
    manifest = GalleryBundle.load(world.gallery).manifest.model_copy(
        update={"kind": "query", "network": {}}
    )
    network = Architecture.random("100M", seed=5, input_size=32).build()
    QueryBundle(network=network, manifest=manifest).save(tmp_path / "other")
    with pytest.raises(UserError, match="of another architecture"):
        _train("query", world, tmp_path / "out", start=tmp_path / "other")
    assert not (tmp_path / "out").exists()


def test_all_seconds_are_counted_after_a_resume(world: World, tmp_path: Path) -> None:
    with _interrupted(after=2):
        _train("gallery", world, tmp_path)
    kept = json.loads((tmp_path / "checkpoint" / "checkpoint.json").read_text())["records"]
    report = _train("gallery", world, tmp_path)
    assert report.records[:2] == kept
    recorded = json.loads((tmp_path / "training.json").read_text())["epochs"]
    assert recorded == report.records
    assert all(record["seconds"] > 0 for record in recorded)
