"""What there is to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecmp.api.paths import PathLike
    from edgecmp.gallery.source import Gallery
    from edgecmp.training.recipes import RecipeList, RecipeSettings

__all__ = [
    "list_baselines",
    "list_datasets",
    "list_methods",
    "list_recipes",
    "list_rewards",
    "list_strategies",
    "list_targets",
    "show_recipe",
]


def list_recipes() -> RecipeList:
    """All recipes, with the command that takes each and what it trains."""
    from edgecmp.training.recipes import RecipeList

    return RecipeList.all()


def show_recipe(
    name: str, *, data: PathLike | None = None, gallery: Gallery = None
) -> RecipeSettings:
    """Every setting of the recipes of one name; `toml` of the result is a file for `recipe`.

    Args:
        name: a name of `list_recipes`; recipes of several commands may have the same name.
        data: what the recipe "photos" is fitted to, as `load_data` takes it; an example if None.
        gallery: what it is fitted to beside `data`; the starter kit's by default.

    Raises:
        UserError: there is no such recipe, or data is named for one that does not depend on it.
    """
    from edgecmp.training.decide import decide_job
    from edgecmp.training.recipes import RecipeSettings

    return RecipeSettings.named(name, decide_job(name, data=data, gallery=gallery))


def list_methods() -> list[str]:
    """The methods that query networks and supernets are trained by."""
    from edgecmp.training.methods import METHODS

    return list(METHODS)


def list_baselines() -> list[str]:
    """The networks of pytorchcv that can be trained and exported as query networks."""
    from edgecmp.networks.baselines import BASELINES

    return list(BASELINES)


def list_targets() -> list[str]:
    """The export targets."""
    from edgecmp.export.formats.registry import targets

    return list(targets())


def list_rewards() -> list[str]:
    """The rewards that a search can maximise."""
    from edgecmp.search.evaluation.rewards import REWARDS

    return list(REWARDS)


def list_strategies() -> list[str]:
    """The strategies of a search."""
    from edgecmp.search.strategies import STRATEGIES

    return list(STRATEGIES)


def list_datasets() -> list[str]:
    """The data sets that ship with edgecmp."""
    from edgecmp.data import DATASETS

    return list(DATASETS)
