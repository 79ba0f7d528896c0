"""RecipeChoice: which recipe a user wants, with changes; `resolve` turns it into a recipe.

A name stands for a recipe of this package. A TOML file names the recipe that it changes (`base`)
or every setting. Its top-level keys hold for each training that reads the file; a table "gallery",
"supernet" or "query" holds for that training alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgecmp.data import DATASETS, Dataset
from edgecmp.documents import read_toml
from edgecmp.errors import UserError
from edgecmp.training.augment import AUGMENTATIONS, Augmentation
from edgecmp.training.gallery import GalleryRecipe
from edgecmp.training.job import Job
from edgecmp.training.lengths import AnyTraining, lasting, with_epochs
from edgecmp.training.query import QueryRecipe
from edgecmp.training.recipes.changing import changed
from edgecmp.training.recipes.registry import FITTED, recipe_named
from edgecmp.training.supernet import SupernetRecipe

__all__ = ["RecipeChoice", "resolve", "with_options"]

SECTIONS: dict[type[Any], str] = {
    GalleryRecipe: "gallery",
    SupernetRecipe: "supernet",
    QueryRecipe: "query",
}
REPRODUCE = "reproduce"
"""The table of a file that holds the settings of `edgecmp reproduce`, which no training reads."""

TABLES = (*SECTIONS.values(), REPRODUCE)
WAY_OUT = 'Write TOML such as: base = "photos", input_size = 112; or name a recipe.'


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeChoice:
    """A recipe by its name or in a file, and changes of it.

    Attributes:
        name: of a recipe; None: see `file`.
        file: a TOML file; None: the recipe `name` as it is.
        changes: by option: "epochs", "input_size", "lr", "batch_size", "augment" and "tier".
    """

    name: str | None = None
    file: Path | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, recipe: str | Path | None, *, data: str | Path | Dataset, **options: Any
    ) -> RecipeChoice:
        """The choice of a command.

        Args:
            recipe: a name or a .toml file; None: the recipe of the data set's name for an embedded
                set, and "photos" for all other data.
            data: as the command names it.
            options: see `changes`; those that are None were not given.
        """
        given = {option: value for option, value in options.items() if value is not None}
        if recipe is None:
            known = data.name if isinstance(data, Dataset) else str(data)
            return cls(name=known if known in DATASETS else FITTED, changes=given)
        if isinstance(recipe, Path) or recipe.endswith(".toml"):
            return cls(file=Path(recipe), changes=given)
        return cls(name=recipe, changes=given)

    def document(self, kind: type[Any]) -> dict[str, Any]:
        """What the file says about one kind of training, with "base"; empty without a file.

        Raises:
            UserError: the file is missing or not TOML, or says nothing about this training.
        """
        if self.file is None:
            return {} if self.name is None else {"base": self.name}
        found = read_toml(self.file, what="a recipe", way_out=WAY_OUT)
        common = {key: value for key, value in found.items() if key not in TABLES}
        own = found.get(SECTIONS[kind], {})
        if not isinstance(own, Mapping):
            raise UserError(f"{SECTIONS[kind]} in {self.file} is not a table.", WAY_OUT)
        if not common and not own:
            raise UserError(f"{self.file} has no recipe of a {SECTIONS[kind]} training.", WAY_OUT)
        return _merged(common, own)

    def given(self, kind: type[Any], name: str) -> Any:
        """The value of "input_size" or "tier" that the user gave, by option or file, else None.

        Raises:
            UserError: see `document`.
        """
        return self.changes.get(name, self.document(kind).get(name))


def resolve(kind: type[AnyTraining], choice: RecipeChoice, job: Job) -> AnyTraining:
    """The recipe of a choice.

    Args:
        kind: of the recipe.
        choice: what the user wants.
        job: that the recipe "photos" is fitted to.

    Raises:
        UserError: the recipe, a field or an augmentation is unknown, or a value has another type or
            is out of range.
    """
    document = choice.document(kind)
    base = None
    if "base" in document:
        base = recipe_named(kind, str(document.pop("base")), job)
    if not document and base is not None:
        recipe = base
    else:
        recipe = changed(kind, base, document, source=str(choice.file))
        recipe = _kept_proportions(recipe, base, document)
    _check_warmup(recipe)
    return with_options(recipe, choice.changes)


def _merged(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Both documents; where both have a value, that of `own`."""
    merged = {**common, **own}
    for key in common.keys() & own.keys():
        if isinstance(common[key], Mapping) and isinstance(own[key], Mapping):
            merged[key] = _merged(common[key], own[key])
    return merged


def _kept_proportions(
    recipe: AnyTraining, base: AnyTraining | None, document: Mapping[str, Any]
) -> AnyTraining:
    """The recipe with the warm-up and the average of a base that had more epochs.

    Only what the document does not state itself is fitted to its number of epochs.
    """
    stated = document.get("schedule", {})
    if base is None or "epochs" not in stated:
        return recipe
    fit = lasting(base.schedule, recipe.schedule.epochs)
    free = {name: getattr(fit, name) for name in ("warmup_epochs", "ema") if name not in stated}
    return replace(recipe, schedule=replace(recipe.schedule, **free))


def with_options(recipe: AnyTraining, options: Mapping[str, Any]) -> AnyTraining:
    """The recipe with the changes of options.

    Args:
        recipe: of any training.
        options: see `RecipeChoice.changes`.

    Raises:
        UserError: a value is out of range, or there is no such augmentation.
    """
    kind = type(recipe)
    for name in ("tier", "input_size"):
        if name in options:
            recipe = changed(kind, recipe, {name: options[name]}, source=_option(options, name))
    for name in ("batch_size", "lr", "epochs"):
        if name not in options:
            continue
        table = {"schedule": {name: options[name]}}
        new = changed(kind, recipe, table, source=_option(options, name)).schedule
        if name == "epochs":
            recipe = with_epochs(recipe, new.epochs)
        else:
            recipe = _both_schedules(recipe, name, getattr(new, name))
    if "augment" in options:
        augmentation = _augmentation(options["augment"], recipe.augmentation)
        recipe = replace(recipe, augmentation=augmentation)
    return recipe


def _both_schedules(recipe: AnyTraining, name: str, value: Any) -> AnyTraining:
    """The recipe with another learning rate or batch size.

    It is also that of the network that a supernet grows from, whose learning rate keeps its ratio
    to the supernet's.
    """
    before = recipe.schedule
    recipe = replace(recipe, schedule=replace(before, **{name: value}))
    if isinstance(recipe, SupernetRecipe) and recipe.seed_schedule is not None:
        seed = recipe.seed_schedule
        if name == "lr":
            value = seed.lr * value / before.lr if before.lr else value
        recipe = replace(recipe, seed_schedule=replace(seed, **{name: value}))
    return recipe


def _augmentation(given: str | Path | Augmentation, base: Augmentation) -> Augmentation:
    """The augmentation of that name, or the base with the changes of a .toml file."""
    if isinstance(given, Augmentation):
        return given
    if str(given) in AUGMENTATIONS or not str(given).endswith(".toml"):
        return changed(Augmentation, base, str(given), source="--augment")
    document = read_toml(Path(given), what="an augmentation", way_out=WAY_OUT)
    return changed(Augmentation, base, document, source=str(given))


def _check_warmup(recipe: AnyTraining) -> None:
    """Refuses a warm-up that outlasts the training."""
    schedule = recipe.schedule
    if schedule.warmup_epochs > schedule.epochs:
        raise UserError(
            f"A warm-up of {schedule.warmup_epochs:g} epochs is longer than the training of "
            f"{schedule.epochs}.",
            "Set schedule.warmup_epochs to a part of schedule.epochs.",
        )


def _option(options: Mapping[str, Any], name: str) -> str:
    """The option as it was typed, for errors."""
    return f"--{name.replace('_', '-')} {options[name]}"
