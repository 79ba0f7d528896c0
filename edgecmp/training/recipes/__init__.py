"""Recipes of whole tasks: faces, fashion and the embedded emoji, each at full and at tiny scale."""

from edgecmp.training.recipes.task import RECIPES, Recipe, recipe

__all__ = ["RECIPES", "Recipe", "recipe"]
