"""Recipes: the settings of trainings and tasks, one family per file; variants change fields."""

from edgecmp.training.recipes.recipe_list import RecipeList
from edgecmp.training.recipes.registry import (
    GALLERY_RECIPES,
    QUERY_RECIPES,
    RECIPES,
    SUPERNET_RECIPES,
    gallery_recipe,
    query_recipe,
    recipe,
    recipe_documents,
    recipe_summaries,
    supernet_recipe,
)
from edgecmp.training.recipes.task import Recipe

__all__ = [
    "GALLERY_RECIPES",
    "QUERY_RECIPES",
    "RECIPES",
    "SUPERNET_RECIPES",
    "Recipe",
    "RecipeList",
    "gallery_recipe",
    "query_recipe",
    "recipe",
    "recipe_documents",
    "recipe_summaries",
    "supernet_recipe",
]
