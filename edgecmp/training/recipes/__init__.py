"""Recipes: the settings of trainings and tasks, one family per file; variants change fields."""

from edgecmp.training.recipes.recipe import Recipe
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

__all__ = [
    "GALLERY_RECIPES",
    "QUERY_RECIPES",
    "RECIPES",
    "SUPERNET_RECIPES",
    "Recipe",
    "gallery_recipe",
    "query_recipe",
    "recipe",
    "recipe_documents",
    "recipe_summaries",
    "supernet_recipe",
]
