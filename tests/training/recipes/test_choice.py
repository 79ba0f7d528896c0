"""A recipe by name, in a file and with options: what is changed, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgecmp import UserError
from edgecmp.data import load_dataset
from edgecmp.training.augment import LIGHT, NONE, STRONG, Augmentation
from edgecmp.training.gallery import GalleryRecipe
from edgecmp.training.job import EXAMPLE
from edgecmp.training.methods import Imitation, RegressionMSE
from edgecmp.training.query import QueryRecipe
from edgecmp.training.recipes import (
    RecipeChoice,
    gallery_recipe,
    query_recipe,
    resolve,
    supernet_recipe,
)
from edgecmp.training.recipes.photos import photos_query, photos_supernet
from edgecmp.training.supernet import SupernetRecipe


def _read(kind: Any, text: str, folder: Path, **options: Any) -> Any:
    file = folder / "my.toml"
    file.write_text(text)
    return resolve(kind, RecipeChoice.of(file, data="photos", **options), EXAMPLE)


def test_the_default_is_photos_except_for_an_embedded_set() -> None:
    """A folder that is called like an embedded set is not one."""
    for data in ("photos.toml", Path("photos"), "./emoji", Path("data/emoji")):
        assert RecipeChoice.of(None, data=data) == RecipeChoice(name="photos")
    assert RecipeChoice.of(None, data="emoji") == RecipeChoice(name="emoji")
    assert RecipeChoice.of(None, data=load_dataset("emoji")).name == "emoji"
    assert resolve(QueryRecipe, RecipeChoice(name="photos"), EXAMPLE) == photos_query(EXAMPLE)


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    text = """
        base = "photos"
        input_size = 112
        augmentation = "strong"
        [schedule]
        epochs = 6
        [[methods]]
        name = "regression-mse"
        weight = 3
        [[methods]]
        name = "imitation"
    """
    recipe, base = _read(QueryRecipe, text, tmp_path), photos_query(EXAMPLE)
    assert recipe.methods == (RegressionMSE(weight=3), Imitation())
    assert (recipe.input_size, recipe.augmentation) == (112, STRONG)
    assert recipe.watch_every == base.watch_every
    schedule = recipe.schedule
    assert schedule.warmup_epochs == pytest.approx(6 / 40, rel=0.01)  # the base's share
    assert replace(schedule, warmup_epochs=0, ema=0) == replace(
        base.schedule, epochs=6, warmup_epochs=0, ema=0
    )


def test_tables_of_a_training_hold_for_it_alone(tmp_path: Path) -> None:
    text = """
        base = "photos"
        input_size = 64
        [schedule]
        epochs = 10
        warmup_epochs = 2
        [supernet]
        tier = "330M"
        [supernet.schedule]
        epochs = 20
        [query.augmentation]
        rotation = 45
    """
    supernet = _read(SupernetRecipe, text, tmp_path)
    assert (supernet.tier, supernet.input_size) == ("330M", 64)
    assert (supernet.schedule.epochs, supernet.schedule.warmup_epochs) == (20, 2)
    query = _read(QueryRecipe, text, tmp_path)
    assert query.schedule.epochs == 10
    assert query.augmentation == replace(LIGHT, rotation=45)
    assert _read(GalleryRecipe, text, tmp_path).augmentation == Augmentation()


def test_options_change_a_recipe_and_a_file(tmp_path: Path) -> None:
    changes = {"epochs": 10, "input_size": 80, "lr": 0.3, "batch_size": 64, "augment": "none"}
    recipe = resolve(SupernetRecipe, RecipeChoice(name="emoji", changes=changes), EXAMPLE)
    base = supernet_recipe("emoji")
    assert (recipe.input_size, recipe.augmentation) == (80, NONE)
    assert recipe.schedule.epochs == 10
    assert (recipe.schedule.lr, recipe.schedule.batch_size) == (0.3, 64)
    assert recipe.seed_schedule is not None
    assert base.seed_schedule is not None
    assert recipe.seed_schedule.lr == pytest.approx(0.4)  # twice, like the supernet's
    assert recipe.seed_schedule.batch_size == 64
    assert recipe.phases == base.phases
    strong = tmp_path / "turns.toml"
    strong.write_text("rotation = 90.0\n")
    turned = _read(GalleryRecipe, 'base = "emoji"', tmp_path, augment=strong)
    assert turned == replace(gallery_recipe("emoji"), augmentation=Augmentation(rotation=90.0))
    tier = resolve(SupernetRecipe, RecipeChoice(name="emoji", changes={"tier": "230M"}), EXAMPLE)
    assert tier == replace(base, tier="230M")


def test_what_the_user_gave_is_known_before_the_recipe(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text('base = "emoji"\ninput_size = 48\n[supernet]\ntier = "230M"\n')
    choice = RecipeChoice.of(file, data="photos")
    assert choice.given(SupernetRecipe, "tier") == "230M"
    assert choice.given(QueryRecipe, "input_size") == 48
    assert RecipeChoice.of("emoji", data="photos").given(QueryRecipe, "input_size") is None
    option = RecipeChoice.of(file, data="photos", input_size=96)
    assert option.given(QueryRecipe, "input_size") == 96


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('base = "photo"', "Unknown query recipe 'photo'. Did you mean photos?"),
        ('base = "photos"\nhalve = true', "Unknown key 'halve' in .*my.toml. Did you mean half?"),
        (
            'base = "photos"\nepochs = 3',
            r"Unknown key 'epochs' in .*my.toml. .* table schedule: write it below a line \[sched",
        ),
        (
            'base = "photos"\n[schedule]\nepoch = 3',
            "Unknown key 'epoch' in .*my.toml, schedule. Did you mean epochs?",
        ),
        (
            'base = "photos"\n[schedule]\nepochs = "3"',
            "schedule.epochs in .*my.toml cannot be used: input should be a valid integer.",
        ),
        ('base = "photos"\n[schedule]\nepochs = 0', "schedule.epochs in .* greater than or equal"),
        ('base = "photos"\n[schedule]\nlr = nan', "schedule.lr in .* should be a finite number"),
        ('base = "photos"\n[schedule]\noptimizer = "adam"', "should be 'sgd' or 'adamw'"),
        ('base = "photos"\nhalf = 1', "half in .* should be a valid boolean"),
        ('base = "photos"\nschedule = 3', "schedule in .*: input should be a table"),
        ('base = "photos"\nmethods = "kd"', "methods in .* should be a list of tables"),
        ('base = "photos"\n[[methods]]\nname = "kdd"', "Unknown method 'kdd' in .*mean kd?"),
        ('base = "photos"\n[[methods]]\nweight = 1', "methods.1.name in .*: it is missing"),
        (
            'base = "photos"\n[[methods]]\nname = "kd"\nweigth = 1',
            "Unknown key 'weigth' in .*my.toml, methods.1. Did you mean weight?",
        ),
        ('base = "photos"\naugmentation = "stronger"', "Unknown augmentation 'stronger'.*strong?"),
        ('base = "photos"\ntier = "100M"', "Unknown key 'tier' in"),
        ("input_size = 64", 'my.toml lacks schedule. .*base = "photos"'),
        ("[supernet]\nwatched = 3", "my.toml has no recipe of a query training"),
        ("query = 3", "query in .*my.toml is not a table"),
        ("base =", "cannot be read as a recipe"),
        (
            'base = "photos"\n[schedule]\nepochs = 3\nwarmup_epochs = 4',
            "A warm-up of 4 epochs is longer than the training of 3",
        ),
    ],
)
def test_a_mistake_in_a_file_is_named_in_one_sentence(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        _read(QueryRecipe, text, tmp_path)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"epochs": 0}, "--epochs 0 cannot be used: input should be greater than or equal to 1"),
        ({"input_size": 16}, "--input-size 16 cannot be used: .* greater than or equal to 32"),
        ({"lr": -1.0}, "--lr -1.0 cannot be used"),
        ({"batch_size": 0}, "--batch-size 0 cannot be used"),
        ({"augment": "heavy"}, "Unknown augmentation 'heavy' in --augment"),
        ({"augment": "missing.toml"}, "missing.toml cannot be read as an augmentation"),
        ({"tier": "200M"}, "Unknown tier '200M'"),
    ],
)
def test_a_mistake_in_an_option_is_named(options: dict[str, Any], says: str) -> None:
    choice = RecipeChoice(name="photos", changes=options)
    with pytest.raises(UserError, match=says):
        resolve(SupernetRecipe, choice, EXAMPLE)


def test_an_unknown_recipe_is_met_with_the_list() -> None:
    with pytest.raises(UserError, match=r"Did you mean emoji-adapt.*photos, emoji"):
        resolve(SupernetRecipe, RecipeChoice(name="emoji-adopt"), EXAMPLE)
    assert resolve(QueryRecipe, RecipeChoice(name="bct"), EXAMPLE) == query_recipe("bct")
    assert resolve(SupernetRecipe, RecipeChoice(name="photos"), EXAMPLE) == photos_supernet()
