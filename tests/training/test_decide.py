"""What a training command trains with: defaults by data, the input size, and the start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgecmp.training.decide as decide_module
from edgecmp import Architecture, UserError, kit
from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.data import Dataset, load_dataset
from edgecmp.training.decide import decide_gallery, decide_query, decide_supernet
from edgecmp.training.recipes import query_recipe, supernet_recipe
from edgecmp.training.recipes.photos import GROWING
from tests.fixtures.identity_folders import write_identities


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    splits = {"train": 8, "validation": 4, "test": 4}
    return write_identities(tmp_path_factory.mktemp("images"), splits)


@pytest.fixture(scope="module")
def dataset(data: Path) -> Dataset:
    return load_dataset(data)


def _query(dataset: Dataset, architecture: Any, recipe: Any = None, **more: Any) -> Any:
    changes = more.pop("changes", {})
    given = {"supernet": "none", "start": None, "gallery": None, **more}
    return decide_query(recipe, changes, architecture=architecture, data=dataset, **given)


def test_no_data_sets_recipe_is_the_default_for_other_data(dataset: Dataset) -> None:
    """The sizes and batches are those of 32 images of 32 pixels, not those of the emoji set."""
    decided = _query(dataset, "mobilenet_w1")
    assert decided.recipe.input_size == 32
    assert decided.recipe.schedule.batch_size == 4
    emoji = _query(load_dataset("emoji"), Architecture.random("100M", seed=0))
    assert emoji.recipe == query_recipe("emoji")
    supernet = decide_supernet(None, {}, data=dataset, gallery=None, start="none")
    assert supernet.recipe.phases == GROWING
    assert decide_gallery(None, {}, data=dataset, start=None).recipe.input_size == 32


def test_the_input_size_is_the_users_else_the_files_else_the_recipes(
    dataset: Dataset, tmp_path: Path
) -> None:
    form = Architecture.random("100M", seed=0, input_size=48)
    file = form.save(tmp_path / "architecture.json")
    assert _query(dataset, file).recipe.input_size == 48
    assert _query(dataset, file, "emoji").recipe.input_size == 48
    assert _query(dataset, file, query_recipe("emoji")).recipe.input_size == 48
    assert _query(dataset, form).recipe.input_size == 32
    toml = tmp_path / "my.toml"
    toml.write_text('base = "photos"\ninput_size = 64\n')
    assert _query(dataset, file, toml).recipe.input_size == 64
    assert _query(dataset, file, toml, changes={"input_size": 80}).recipe.input_size == 80


def test_a_start_is_opened_once_and_shortens_the_training(dataset: Dataset) -> None:
    first = decide_supernet(None, {}, data=dataset, gallery=None, start=None)
    assert first.start is not None  # the starter kit's
    assert first.recipe.seed_schedule is None
    wide = decide_supernet(None, {"tier": "330M"}, data=dataset, gallery=None, start="none")
    assert wide.start is None
    assert wide.recipe.tier == "330M"
    assert wide.recipe.seed_schedule is not None
    own = decide_supernet(
        supernet_recipe("tiny"), {"epochs": 2}, data=dataset, gallery=None, start="none"
    )
    assert own.recipe.schedule.epochs == 2


def test_a_mistake_is_told_before_the_data_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("The data was opened.")

    monkeypatch.setattr(decide_module, "load_dataset", opened)
    for recipe, changes in (("emojy", {}), ("missing.toml", {}), (None, {"epochs": 0})):
        with pytest.raises(UserError):
            decide_gallery(recipe, changes, data="photos", start=None)


def write_table(dataset: Dataset, width: int, toml: Path) -> None:
    """A table of random embeddings of all images."""
    images = (dataset.train, dataset.validation, dataset.test)
    keys = [key for part in images for key in part.keys]
    values = np.random.default_rng(0).normal(size=(len(keys), width)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    np.savez(toml.with_suffix(".npz"), keys=np.array(keys), embeddings=values)
    toml.write_text(f'table = "{toml.stem}.npz"\n')


@pytest.mark.slow(quick=["768"])
@pytest.mark.parametrize("width", [64, 384, 768, 1280, 2048])
def test_a_searched_architecture_takes_the_gallerys_width(
    width: int, data: Path, dataset: Dataset, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    """Its genes stay, and one line says so."""
    write_table(dataset, width, tmp_path / "gallery.toml")
    architecture = Architecture.load(kit.architecture("100M"))
    result = edgecmp(
        *("train", "query", "--data", data, "--gallery", tmp_path / "gallery.toml"),
        *("--architecture", kit.architecture("100M"), "--out", tmp_path / "query"),
        *("--supernet", "none", "--epochs", 1, "--input-size", 32, "--augment", "none"),
        *("--batch-size", 16),
    )
    assert result.code == 0, result.err
    assert f"The network has {width:,} embedding values, like " in result.err
    assert "instead of 128" in result.err
    bundle = QueryBundle.load(tmp_path / "query")
    assert bundle.architecture == replace(architecture, embedding_dim=width, input_size=32)
