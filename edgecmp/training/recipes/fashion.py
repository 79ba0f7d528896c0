"""Recipes for fashion, on DeepFashion2 (supplement A), for a GPU."""

from __future__ import annotations

from dataclasses import replace

from edgecmp.networks.tiers import TIERS
from edgecmp.training.gallery import GalleryRecipe
from edgecmp.training.methods import Method
from edgecmp.training.query import QueryRecipe
from edgecmp.training.recipes.face import (
    FACE_BCT,
    FACE_VANILLA,
    face,
    face_gallery,
    face_query,
    face_supernet,
)
from edgecmp.training.recipes.task import Recipe
from edgecmp.training.supernet import SupernetRecipe


def fashion_gallery() -> GalleryRecipe:
    """ResNet-101 at 224 px with CosFace, 30 epochs; the supplement does not state the size."""
    recipe = face_gallery()
    schedule = replace(recipe.schedule, epochs=30, batch_size=256)
    return replace(recipe, input_size=224, schedule=schedule)


def fashion_supernet(tier: str, *, method: Method = FACE_BCT) -> SupernetRecipe:
    """Supplement A.2 at 224 px, for searches by top-50 (supplement A.3)."""
    return replace(face_supernet(tier, method=method), input_size=224, metric="top50")


def fashion_query() -> QueryRecipe:
    """BCT at 224 px with CosFace, 30 epochs."""
    return replace(face_query(), input_size=224, schedule=fashion_gallery().schedule)


def fashion() -> Recipe:
    """DeepFashion2, trained and tested (supplement A); rewards of top-50."""
    query = fashion_query()
    return replace(
        face(),
        name="fashion",
        separate_test=False,
        gallery=fashion_gallery(),
        supernets={tier: fashion_supernet(tier) for tier in TIERS},
        figure_supernets={
            "vanilla": fashion_supernet("100M", method=FACE_VANILLA),
            "bct": fashion_supernet("100M"),
        },
        query=query,
        pruned=query,
        figure=query,
        metric="top50",
    )
