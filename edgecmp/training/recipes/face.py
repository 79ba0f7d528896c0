"""Recipes for faces, trained on IMDb-Face and tested on IJB-C (supplement A), for a GPU."""

from __future__ import annotations

from edgecmp.networks.tiers import TIERS
from edgecmp.training.gallery import GalleryRecipe
from edgecmp.training.methods import BackwardCompatible, Method, Scratch
from edgecmp.training.paths import Phase
from edgecmp.training.query import QueryRecipe
from edgecmp.training.recipes.task import Recipe
from edgecmp.training.schedule import Schedule
from edgecmp.training.supernet import SupernetRecipe

FACE_BCT = BackwardCompatible(scale=30.0, margin=0.35, bct_margin=0.35)
FACE_VANILLA = Scratch(scale=30.0, margin=0.35)
"""The method of the vanilla supernet in figure 1 of the supplement."""


def face_gallery() -> GalleryRecipe:
    """ResNet-101 at 119 px with CosFace, 16 epochs, as the face models of the BCT paper."""
    return GalleryRecipe(
        network="resnet101",
        input_size=119,
        scale=30.0,
        margin=0.35,
        schedule=Schedule(epochs=16, batch_size=320, lr=0.1, weight_decay=5e-4),
    )


def face_supernet(tier: str, *, method: Method = FACE_BCT) -> SupernetRecipe:
    """Supplement A.2 at 119 px: 10 epochs of all four blocks at full width, then uniform paths."""
    epochs = 120
    return SupernetRecipe(
        tier=tier,
        input_size=119,
        schedule=Schedule(epochs=epochs, batch_size=1024, lr=0.5, weight_decay=4e-5),
        phases=(
            Phase(until=10 / epochs, blocks=4, narrowest=9),
            Phase(until=1.0, blocks=1, narrowest=0),
        ),
        methods=(method,),
        metric="tar",
    )


def face_query() -> QueryRecipe:
    """BCT at 119 px with CosFace, 16 epochs."""
    return QueryRecipe(
        input_size=119,
        schedule=face_gallery().schedule,
        methods=(FACE_BCT,),
    )


def face() -> Recipe:
    """Trained on IMDb-Face, tested on IJB-C (supplement A); rewards of TAR@FAR=1e-3."""
    query = face_query()
    return Recipe(
        name="face",
        data=None,
        separate_test=True,
        kit_gallery=False,
        kit_architectures=False,
        gallery=face_gallery(),
        bottleneck=None,
        supernets={tier: face_supernet(tier) for tier in TIERS},
        figure_supernets={
            "vanilla": face_supernet("100M", method=FACE_VANILLA),
            "bct": face_supernet("100M"),
        },
        query=query,
        pruned=query,
        figure=query,
        reward="r3",
        metric="tar",
        population=50,
        generations=20,
    )
