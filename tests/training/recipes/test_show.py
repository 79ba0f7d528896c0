"""`edgecmp recipes`: the list, and TOML that reads back to the same recipe."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgecmp.training.fields import document_of
from edgecmp.training.gallery import GalleryRecipe
from edgecmp.training.job import EXAMPLE
from edgecmp.training.recipes import RECIPES, RecipeChoice, RecipeSettings, recipe, resolve
from edgecmp.training.recipes.changing import changed
from edgecmp.training.recipes.registry import TRAININGS, recipe_named
from edgecmp.training.recipes.task import Recipe
from tests.fixtures.identity_folders import write_identities

NAMED = [
    (kind, name)
    for kind, (_, recipes) in TRAININGS.items()
    if kind is not Recipe
    for name in recipes
]


@pytest.mark.parametrize(
    ("kind", "name"), NAMED, ids=lambda value: getattr(value, "__name__", value)
)
def test_what_is_shown_reads_back_to_the_same_recipe(kind: Any, name: str, tmp_path: Path) -> None:
    """Also by type, so that a training of one resumes by the other."""
    file = tmp_path / "my.toml"
    file.write_text(RecipeSettings.named(name).toml)
    read = resolve(kind, RecipeChoice(file=file), EXAMPLE)
    expected = recipe_named(kind, name, replace(EXAMPLE, has_start=kind is not GalleryRecipe))
    assert read == expected
    assert repr(document_of(read)) == repr(document_of(expected))


@pytest.mark.parametrize("name", RECIPES)
def test_the_settings_of_a_task_read_back(name: str) -> None:
    document = tomllib.loads(RecipeSettings.named(name).toml)
    read = changed(Recipe, None, document.get("reproduce", document), source="my.toml")
    assert read == recipe(name)


def test_photos_is_listed_first_and_shown_for_data(
    edgecmp: Callable[..., Any], tmp_path: Path
) -> None:
    listed = edgecmp("recipes").out.splitlines()
    assert listed[2].split()[:2] == ["photos", "train"]
    data = write_identities(tmp_path / "data", {"train": 8, "validation": 4, "test": 4})
    shown = edgecmp("recipes", "show", "photos", "--data", data).out
    assert "Fitted to 32 images of 8 identities, 32 px; a gallery model that reads 64 px" in shown
    document = tomllib.loads(shown)
    assert document["query"]["input_size"] == document["supernet"]["input_size"] == 32
    assert document["query"]["schedule"]["batch_size"] == 4


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("photo",), "Unknown recipe 'photo'. Did you mean photos?"),
        (("emoji", "--data", "emoji"), "'emoji' is the same for all data and galleries"),
        (("photos", "--gallery", "runs/gallery"), "--gallery has no effect without --data"),
    ],
)
def test_what_is_not_shown_is_said(
    words: tuple[str, ...], says: str, edgecmp: Callable[..., Any]
) -> None:
    result = edgecmp("recipes", "show", *words)
    assert result.code == 2
    assert says in result.err
