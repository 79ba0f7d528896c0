"""Recipes for the embedded emoji set on two CPU cores; the starter kit was trained with them."""

from __future__ import annotations

from dataclasses import replace

from edgecmp.networks.tiers import TIERS
from edgecmp.training.augment import STRONG
from edgecmp.training.gallery import GalleryRecipe
from edgecmp.training.methods import (
    BackwardCompatible,
    Imitation,
    RegressionCosine,
    RegressionMSE,
    Scratch,
)
from edgecmp.training.paths import Phase
from edgecmp.training.query import QueryRecipe
from edgecmp.training.recipes.task import Recipe
from edgecmp.training.schedule import Schedule
from edgecmp.training.supernet import SupernetRecipe


def emoji_gallery() -> GalleryRecipe:
    """ResNet-18 at 64 px with CosFace, 36 epochs."""
    return GalleryRecipe(
        network="resnet18s",
        input_size=64,
        schedule=Schedule(
            epochs=36, lr=0.1, weight_decay=5e-4, warmup_epochs=2, ema=0.99, bf16=True
        ),
        half=True,
    )


def emoji_rotations_gallery() -> GalleryRecipe:
    """Continues `emoji` on images in four rotations; larger margin and stronger augmentation."""
    recipe = emoji_gallery()
    return replace(
        recipe,
        schedule=replace(recipe.schedule, epochs=9, lr=0.06, warmup_epochs=0.25, ema=0.995),
        margin=0.3,
        augmentation=STRONG,
        quarter_turns=True,
        watch_every=1,
    )


def emoji_bottleneck_gallery() -> GalleryRecipe:
    """ResNet-26 of bottleneck units: the gallery model that is pruned for table 4."""
    recipe = emoji_gallery()
    return replace(
        recipe, network="resnet26s", schedule=replace(recipe.schedule, epochs=24), watch_every=6
    )


def emoji_supernet() -> SupernetRecipe:
    """100M tier, grown from one trained network, then widened from the largest widths down."""
    return SupernetRecipe(
        tier="100M",
        input_size=64,
        seed_schedule=Schedule(epochs=24, lr=0.2, weight_decay=2e-4, warmup_epochs=1, ema=0.99),
        schedule=Schedule(
            epochs=72, batch_size=256, lr=0.15, weight_decay=1e-4, warmup_epochs=2, ema=0.99
        ),
        phases=(
            Phase(until=0.10, blocks=1, narrowest=8),
            Phase(until=0.20, blocks=1, narrowest=6),
            Phase(until=0.30, blocks=1, narrowest=4),
            Phase(until=0.40, blocks=1, narrowest=2),
            Phase(until=1.00, blocks=1, narrowest=0),
        ),
        methods=(BackwardCompatible(own=0.0, bct_margin=0.0), RegressionCosine(weight=10.0)),
        sampling="fair",
        half=True,
    )


def emoji_adapt_supernet() -> SupernetRecipe:
    """Continues an earlier supernet with a new gallery model: all widths, a third of the epochs."""
    recipe = emoji_supernet()
    return replace(
        recipe,
        seed_schedule=None,
        schedule=replace(recipe.schedule, epochs=24, lr=0.1, warmup_epochs=1),
        phases=(Phase(until=1.0, blocks=1, narrowest=0),),
    )


def emoji_short_supernet(tier: str) -> SupernetRecipe:
    """`emoji` for this tier with a third of its epochs, so that large tiers train on two cores."""
    recipe = emoji_supernet()
    assert recipe.seed_schedule is not None
    return replace(
        recipe,
        tier=tier,
        seed_schedule=replace(recipe.seed_schedule, epochs=10),
        schedule=replace(recipe.schedule, epochs=24, warmup_epochs=1),
        watch_every=8,
    )


def emoji_vanilla_supernet() -> SupernetRecipe:
    """Figure 1's vanilla supernet: margin softmax alone, without a gallery."""
    return replace(emoji_short_supernet("100M"), methods=(Scratch(),))


def emoji_bct_supernet() -> SupernetRecipe:
    """Figure 1's BCT supernet."""
    return replace(emoji_short_supernet("100M"), methods=(BackwardCompatible(bct_margin=0.0),))


def emoji_query() -> QueryRecipe:
    """Imitation of the gallery model on blended images plus BCT; start it from a supernet."""
    return QueryRecipe(
        input_size=64,
        schedule=Schedule(epochs=40, lr=0.15, weight_decay=2e-4, warmup_epochs=1, ema=0.99),
        methods=(
            Imitation(weight=10.0, mixed=0.75),
            BackwardCompatible(own=0.0, bct=0.3, bct_margin=0.0),
        ),
        half=True,
    )


def emoji_imitate_query() -> QueryRecipe:
    """Continues `emoji` by imitation alone, on rotated, mirrored and blended images."""
    recipe = emoji_query()
    return replace(
        recipe,
        schedule=replace(recipe.schedule, epochs=20, lr=0.1),
        methods=(Imitation(weight=10.0, mixed=1.0),),
        augmentation=STRONG,
    )


def bct_query() -> QueryRecipe:
    """BCT as in the paper: margin softmax plus the gallery model's frozen classifier."""
    return replace(emoji_query(), methods=(BackwardCompatible(),))


def emoji_table_query() -> QueryRecipe:
    """Trains the networks of tables 1 to 3 from scratch by squared distance, 24 epochs.

    A training this short benefits from many small steps, hence batches of 32.
    """
    return QueryRecipe(
        input_size=64,
        schedule=Schedule(
            epochs=24, batch_size=32, lr=0.15, weight_decay=2e-4, warmup_epochs=1, ema=0.99
        ),
        methods=(RegressionMSE(weight=10.0),),
        watch_every=8,
        half=True,
    )


def emoji_pruned_query() -> QueryRecipe:
    """3 epochs for the pruned copies of table 4."""
    recipe = emoji_table_query()
    return replace(
        recipe,
        schedule=replace(recipe.schedule, epochs=3, batch_size=128, lr=0.05, bf16=True),
        methods=(BackwardCompatible(own=0.0, bct_margin=0.0), RegressionCosine(weight=10.0)),
        watch_every=3,
    )


def emoji() -> Recipe:
    """The embedded emoji set on two cores, with the starter kit's gallery model."""
    query = emoji_table_query()
    return Recipe(
        name="emoji",
        data="emoji",
        separate_test=False,
        kit_gallery=True,
        kit_architectures=True,
        gallery=emoji_gallery(),
        bottleneck=emoji_bottleneck_gallery(),
        supernets={tier: emoji_short_supernet(tier) for tier in TIERS},
        figure_supernets={
            "vanilla": emoji_vanilla_supernet(),
            "bct": emoji_bct_supernet(),
        },
        query=query,
        pruned=emoji_pruned_query(),
        figure=replace(query, schedule=replace(query.schedule, epochs=3)),
        reward="r3",
        metric="top1",
        population=20,
        generations=7,
    )
