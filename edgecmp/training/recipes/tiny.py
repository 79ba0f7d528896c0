"""Recipes for tests that run in seconds: one short epoch at 32 px."""

from __future__ import annotations

from dataclasses import replace

from edgecmp.networks.tiers import TIERS
from edgecmp.training.gallery import GalleryRecipe
from edgecmp.training.query import QueryRecipe
from edgecmp.training.recipes.emoji import emoji_gallery, emoji_query, emoji_supernet
from edgecmp.training.recipes.task import Recipe
from edgecmp.training.supernet import SupernetRecipe


def tiny_gallery() -> GalleryRecipe:
    """One short epoch at 32 px, for tests."""
    recipe = emoji_gallery()
    schedule = replace(recipe.schedule, epochs=1, warmup_epochs=1, bf16=False)
    return replace(recipe, input_size=32, schedule=schedule)


def tiny_supernet() -> SupernetRecipe:
    """One short epoch at 32 px, for tests."""
    recipe = emoji_supernet()
    schedule = replace(recipe.schedule, epochs=1, warmup_epochs=1)
    return replace(recipe, input_size=32, seed_schedule=schedule, schedule=schedule, watched=2)


def tiny_query() -> QueryRecipe:
    """One short epoch at 32 px, for tests."""
    recipe = emoji_query()
    return replace(recipe, input_size=32, schedule=replace(recipe.schedule, epochs=1))


def tiny(recipe: Recipe) -> Recipe:
    """The complete task in seconds, for tests: one short epoch per network at 32 px."""
    small, query = tiny_supernet(), tiny_query()
    return replace(
        recipe,
        name=f"{recipe.name}-tiny",
        kit_gallery=False,
        gallery=tiny_gallery(),
        bottleneck=replace(tiny_gallery(), network="resnet26s"),
        supernets={tier: replace(small, tier=tier) for tier in TIERS},
        figure_supernets={"vanilla": small, "bct": small},
        query=query,
        pruned=query,
        figure=query,
        population=4,
        generations=2,
    )
