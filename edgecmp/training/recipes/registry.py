"""The recipes by name: of single trainings, and of complete tasks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from edgecmp.errors import unknown_choice
from edgecmp.networks.tiers import TIERS
from edgecmp.training.fields import document_of
from edgecmp.training.gallery import GalleryRecipe
from edgecmp.training.job import EXAMPLE, Job
from edgecmp.training.methods import method_named
from edgecmp.training.query import QueryRecipe
from edgecmp.training.recipes.emoji import (
    bct_query,
    emoji,
    emoji_adapt_supernet,
    emoji_bct_supernet,
    emoji_bottleneck_gallery,
    emoji_gallery,
    emoji_imitate_query,
    emoji_pruned_query,
    emoji_query,
    emoji_rotations_gallery,
    emoji_short_supernet,
    emoji_supernet,
    emoji_table_query,
    emoji_vanilla_supernet,
)
from edgecmp.training.recipes.face import (
    FACE_VANILLA,
    face,
    face_gallery,
    face_query,
    face_supernet,
)
from edgecmp.training.recipes.fashion import (
    fashion,
    fashion_gallery,
    fashion_query,
    fashion_supernet,
)
from edgecmp.training.recipes.photos import photos_gallery, photos_query, photos_supernet
from edgecmp.training.recipes.task import Recipe
from edgecmp.training.recipes.tiny import tiny, tiny_gallery, tiny_query, tiny_supernet
from edgecmp.training.supernet import SupernetRecipe

__all__ = [
    "FITTED",
    "GALLERY_RECIPES",
    "QUERY_RECIPES",
    "RECIPES",
    "RECIPES_OF",
    "SUPERNET_RECIPES",
    "gallery_recipe",
    "query_recipe",
    "recipe",
    "recipe_documents",
    "recipe_named",
    "recipe_summaries",
    "supernet_recipe",
]

FITTED = "photos"
"""The recipe that is fitted to a job: the default of all data that is not an embedded set."""

GALLERY_RECIPES: dict[str, Callable[..., GalleryRecipe]] = {
    FITTED: photos_gallery,
    "emoji": emoji_gallery,
    "emoji-turns": emoji_rotations_gallery,
    "emoji-bottleneck": emoji_bottleneck_gallery,
    "face": face_gallery,
    "fashion": fashion_gallery,
    "tiny": tiny_gallery,
}
SUPERNET_RECIPES: dict[str, Callable[..., SupernetRecipe]] = {
    FITTED: photos_supernet,
    "emoji": emoji_supernet,
    "emoji-adapt": emoji_adapt_supernet,
    **{f"emoji-{tier}": partial(emoji_short_supernet, tier) for tier in TIERS},
    "emoji-vanilla": emoji_vanilla_supernet,
    "emoji-bct": emoji_bct_supernet,
    **{f"face-{tier}": partial(face_supernet, tier) for tier in TIERS},
    "face-vanilla": partial(face_supernet, "100M", method=FACE_VANILLA),
    **{f"fashion-{tier}": partial(fashion_supernet, tier) for tier in TIERS},
    "fashion-vanilla": partial(fashion_supernet, "100M", method=FACE_VANILLA),
    "tiny": tiny_supernet,
}
QUERY_RECIPES: dict[str, Callable[..., QueryRecipe]] = {
    FITTED: photos_query,
    "emoji": emoji_query,
    "emoji-imitate": emoji_imitate_query,
    "emoji-table": emoji_table_query,
    "emoji-pruned": emoji_pruned_query,
    "bct": bct_query,
    "face": face_query,
    "fashion": fashion_query,
    "tiny": tiny_query,
}
RECIPES: dict[str, Callable[[], Recipe]] = {
    "emoji": emoji,
    "face": face,
    "fashion": fashion,
    "emoji-tiny": lambda: tiny(emoji()),
    "face-tiny": lambda: tiny(face()),
    "fashion-tiny": lambda: tiny(fashion()),
}

RECIPES_OF: dict[str, Mapping[str, Callable[[], Any]]] = {
    "train gallery": GALLERY_RECIPES,
    "train supernet": SUPERNET_RECIPES,
    "train query": QUERY_RECIPES,
    "reproduce": RECIPES,
}
"""The recipes by name, by the command that uses them."""

AnyRecipe = TypeVar("AnyRecipe")

TRAININGS: dict[type[Any], tuple[str, Mapping[str, Callable[..., Any]]]] = {
    GalleryRecipe: ("gallery recipe", GALLERY_RECIPES),
    SupernetRecipe: ("supernet recipe", SUPERNET_RECIPES),
    QueryRecipe: ("query recipe", QUERY_RECIPES),
    Recipe: ("recipe", RECIPES),
}


def recipe_named(kind: type[AnyRecipe], name: str, job: Job = EXAMPLE) -> AnyRecipe:
    """The recipe of that name; for an unknown name a UserError lists all.

    Args:
        kind: of the recipe.
        name: of the recipe.
        job: that the recipe "photos" is fitted to.
    """
    noun, recipes = TRAININGS[kind]
    if name not in recipes:
        raise unknown_choice(noun, name, recipes)
    found: AnyRecipe = recipes[name](job) if name == FITTED else recipes[name]()
    return found


def gallery_recipe(name: str) -> GalleryRecipe:
    """The gallery recipe of that name; for an unknown name a UserError lists all."""
    return recipe_named(GalleryRecipe, name)


def supernet_recipe(name: str) -> SupernetRecipe:
    """The supernet recipe of that name; for an unknown name a UserError lists all."""
    return recipe_named(SupernetRecipe, name)


def query_recipe(name: str, *, method: str | None = None) -> QueryRecipe:
    """The query recipe of that name; for an unknown name a UserError lists all.

    Args:
        name: of the recipe.
        method: name of a method that replaces the recipe's, with its default settings.
    """
    found = recipe_named(QueryRecipe, name)
    return replace(found, methods=(method_named(method),)) if method else found


def recipe(name: str) -> Recipe:
    """The recipe of a task; for an unknown name a UserError lists all."""
    return recipe_named(Recipe, name)


def recipe_summaries() -> list[dict[str, str]]:
    """One row per recipe: its name ("recipe"), its "command" and a summary ("what")."""
    return [
        {"recipe": name, "command": command, "what": _summary(name, factory)}
        for command, recipes in RECIPES_OF.items()
        for name, factory in recipes.items()
    ]


def _summary(name: str, factory: Callable[[], Any]) -> str:
    """The first line of the docstring of the function that builds a recipe."""
    made_by = tiny if name.endswith("-tiny") else getattr(factory, "func", factory)
    return (inspect.getdoc(made_by) or "").splitlines()[0]


def recipe_documents(name: str, job: Job = EXAMPLE) -> dict[str, dict[str, Any]]:
    """All settings of the recipes of that name, by the command that uses them.

    Args:
        name: of the recipes.
        job: that the recipe "photos" is fitted to; only supernets and query networks have its
            start, since a gallery model has none unless it is named.

    Raises:
        UserError: no command has a recipe of that name; the message lists all names.
    """
    found = {
        command: document_of(
            recipe_named(
                kind, name, replace(job, has_start=False) if kind is GalleryRecipe else job
            )
        )
        for (command, recipes), kind in zip(RECIPES_OF.items(), TRAININGS, strict=True)
        if name in recipes
    }
    if not found:
        names = dict.fromkeys(name for recipes in RECIPES_OF.values() for name in recipes)
        raise unknown_choice("recipe", name, names)
    return found
