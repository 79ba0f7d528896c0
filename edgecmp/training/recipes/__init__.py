"""Recipes: what every training is done by, one family per file; a variant changes some fields."""

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
