"""Recipes: functions that return dataclasses; a variant calls another and changes fields."""

from __future__ import annotations

from dataclasses import replace

from edgecmp.errors import unknown_choice
from edgecmp.training.fit import Schedule
from edgecmp.training.gallery import GalleryRecipe

__all__ = ["GALLERY_RECIPES", "gallery_recipe"]


def emoji_gallery() -> GalleryRecipe:
    """The starter kit's gallery model: ResNet-18 for small images, 64 px, on two CPU cores."""
    return GalleryRecipe(
        network="resnet18s",
        input_size=64,
        schedule=Schedule(
            epochs=36, lr=0.1, weight_decay=5e-4, warmup_epochs=2, ema=0.99, bf16=True
        ),
        half=True,
    )


def paper_gallery() -> GalleryRecipe:
    """ResNet-101 at 119 px with CosFace, 16 epochs, as face models of the BCT paper are trained."""
    return GalleryRecipe(
        network="resnet101",
        input_size=119,
        scale=30.0,
        margin=0.35,
        schedule=Schedule(epochs=16, batch_size=320, lr=0.1, weight_decay=5e-4),
    )


def tiny_gallery() -> GalleryRecipe:
    """One short epoch, for tests."""
    recipe = emoji_gallery()
    return replace(recipe, input_size=32, schedule=replace(recipe.schedule, epochs=1, bf16=False))


GALLERY_RECIPES = {"emoji": emoji_gallery, "paper": paper_gallery, "tiny": tiny_gallery}


def gallery_recipe(name: str) -> GalleryRecipe:
    """The gallery recipe of that name.

    Raises:
        UserError: there is none; the message lists them.
    """
    if name not in GALLERY_RECIPES:
        raise unknown_choice("gallery recipe", name, GALLERY_RECIPES)
    return GALLERY_RECIPES[name]()
