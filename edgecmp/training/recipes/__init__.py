"""Recipes: the settings of trainings and tasks, one family per file; variants change fields."""

from edgecmp.training.recipes.choice import RecipeChoice, resolve, with_options
from edgecmp.training.recipes.recipe_list import RecipeList, RecipeSettings
from edgecmp.training.recipes.registry import (
    FITTED,
    GALLERY_RECIPES,
    QUERY_RECIPES,
    RECIPES,
    SUPERNET_RECIPES,
    gallery_recipe,
    query_recipe,
    recipe,
    recipe_documents,
    recipe_named,
    recipe_summaries,
    supernet_recipe,
)
from edgecmp.training.recipes.task import Recipe

__all__ = [
    "FITTED",
    "GALLERY_RECIPES",
    "QUERY_RECIPES",
    "RECIPES",
    "SUPERNET_RECIPES",
    "Recipe",
    "RecipeChoice",
    "RecipeList",
    "RecipeSettings",
    "gallery_recipe",
    "query_recipe",
    "recipe",
    "recipe_documents",
    "recipe_named",
    "recipe_summaries",
    "resolve",
    "supernet_recipe",
    "with_options",
]
