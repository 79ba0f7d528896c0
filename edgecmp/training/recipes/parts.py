"""Recipes: functions that return dataclasses; a variant calls another and changes fields.

"emoji" is the starter kit's, at the scale of two CPU cores. "face" and "fashion" follow the
supplement, at a scale that wants a GPU. "tiny" is for tests. `task` puts them together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

from edgecmp.errors import unknown_choice
from edgecmp.networks.tiers import TIERS
from edgecmp.training.augment import Augmentation
from edgecmp.training.fit import Schedule
from edgecmp.training.gallery import GalleryRecipe
from edgecmp.training.methods import (
    BackwardCompatible,
    Imitation,
    Method,
    RegressionCosine,
    RegressionMSE,
    Scratch,
    method_named,
)
from edgecmp.training.paths import Phase
from edgecmp.training.query import QueryRecipe
from edgecmp.training.supernet import SupernetRecipe

__all__ = [
    "GALLERY_RECIPES",
    "QUERY_RECIPES",
    "SUPERNET_RECIPES",
    "gallery_recipe",
    "query_recipe",
    "supernet_recipe",
]

Recipe = TypeVar("Recipe")

STRONG = Augmentation(
    rotation=20.0,
    scale=0.25,
    stretch=0.15,
    shift=0.1,
    brightness=0.4,
    contrast=0.4,
    saturation=0.7,
    hue=0.5,
    gray=0.2,
    erase=0.5,
)
"""For a network that would learn the training images by heart under the usual strength."""


def emoji_gallery() -> GalleryRecipe:
    """ResNet-18 for small images, CosFace, 64 px."""
    return GalleryRecipe(
        network="resnet18s",
        input_size=64,
        schedule=Schedule(
            epochs=36, lr=0.1, weight_decay=5e-4, warmup_epochs=2, ema=0.99, bf16=True
        ),
        half=True,
    )


def emoji_turns_gallery() -> GalleryRecipe:
    """Goes on from `emoji`: each image in four directions, a larger margin, strong augmentation."""
    recipe = emoji_gallery()
    return replace(
        recipe,
        schedule=replace(recipe.schedule, epochs=9, lr=0.06, warmup_epochs=0.25, ema=0.995),
        margin=0.3,
        augmentation=STRONG,
        quarter_turns=True,
        watch_every=1,
    )


def face_gallery() -> GalleryRecipe:
    """ResNet-101 at 119 px with CosFace, 16 epochs, as face models of the BCT paper are trained."""
    return GalleryRecipe(
        network="resnet101",
        input_size=119,
        scale=30.0,
        margin=0.35,
        schedule=Schedule(epochs=16, batch_size=320, lr=0.1, weight_decay=5e-4),
    )


def fashion_gallery() -> GalleryRecipe:
    """ResNet-101 at 224 px, where garments show; the supplement does not say the size."""
    recipe = face_gallery()
    schedule = replace(recipe.schedule, epochs=30, batch_size=256)
    return replace(recipe, input_size=224, schedule=schedule)


def tiny_gallery() -> GalleryRecipe:
    """One short epoch."""
    recipe = emoji_gallery()
    return replace(recipe, input_size=32, schedule=replace(recipe.schedule, epochs=1, bf16=False))


def emoji_bottleneck_gallery() -> GalleryRecipe:
    """A ResNet of bottleneck units: the gallery model whose pruned copies table 4 trains."""
    recipe = emoji_gallery()
    return replace(
        recipe, network="resnet26s", schedule=replace(recipe.schedule, epochs=24), watch_every=6
    )


def emoji_supernet() -> SupernetRecipe:
    """Grown from one network trained at full width; widths widened from the largest down."""
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
    """Goes on from a supernet of an earlier gallery model: all widths, a third of the epochs."""
    recipe = emoji_supernet()
    return replace(
        recipe,
        seed_schedule=None,
        schedule=replace(recipe.schedule, epochs=24, lr=0.1, warmup_epochs=1),
        phases=(Phase(until=1.0, blocks=1, narrowest=0),),
    )


def emoji_short_supernet(tier: str) -> SupernetRecipe:
    """`emoji` for any tier at a third of its epochs, so that the large tiers train on two cores."""
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
    """One half of the supplement's figure 1: the own margin softmax alone."""
    return replace(emoji_short_supernet("100M"), methods=(Scratch(),))


def emoji_bct_supernet() -> SupernetRecipe:
    """The other half: the same with BCT."""
    return replace(emoji_short_supernet("100M"), methods=(BackwardCompatible(bct_margin=0.0),))


FACE_BCT = BackwardCompatible(scale=30.0, margin=0.35, bct_margin=0.35)
FACE_VANILLA = Scratch(scale=30.0, margin=0.35)
"""The vanilla supernet of the supplement's figure 1."""


def face_supernet(tier: str, *, method: Method = FACE_BCT) -> SupernetRecipe:
    """Supplement A.2: 10 epochs of all four blocks averaged at full width, then uniform paths."""
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


def fashion_supernet(tier: str, *, method: Method = FACE_BCT) -> SupernetRecipe:
    """The same at 224 px, for searches by top-50 (supplement A.3)."""
    return replace(face_supernet(tier, method=method), input_size=224, metric="top50")


def tiny_supernet() -> SupernetRecipe:
    """One short epoch."""
    recipe = emoji_supernet()
    schedule = replace(recipe.schedule, epochs=1)
    return replace(recipe, input_size=32, seed_schedule=schedule, schedule=schedule, watched=2)


def emoji_query() -> QueryRecipe:
    """BCT and imitation of the gallery model on mixed images; meant to start from a supernet."""
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
    """Goes on from `emoji`: imitation alone, of images turned, mirrored and blended."""
    recipe = emoji_query()
    return replace(
        recipe,
        schedule=replace(recipe.schedule, epochs=20, lr=0.1),
        methods=(Imitation(weight=10.0, mixed=1.0),),
        augmentation=STRONG,
    )


def bct_query() -> QueryRecipe:
    """BCT as the paper trains: own margin softmax and the gallery's frozen classifier."""
    return replace(emoji_query(), methods=(BackwardCompatible(),))


def emoji_table_query() -> QueryRecipe:
    """Every network of tables 1 to 3 from scratch, by the method that finds most in the gallery.

    Batches of 32: so short a training wants many steps more than it wants large ones.
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
    """The pruned copies of table 4: a short training that a whole network also survives."""
    recipe = emoji_table_query()
    return replace(
        recipe,
        schedule=replace(recipe.schedule, epochs=3, batch_size=128, lr=0.05, bf16=True),
        methods=(BackwardCompatible(own=0.0, bct_margin=0.0), RegressionCosine(weight=10.0)),
        watch_every=3,
    )


def face_query() -> QueryRecipe:
    """BCT as the face gallery is trained: 119 px, CosFace, 16 epochs."""
    return QueryRecipe(
        input_size=119,
        schedule=face_gallery().schedule,
        methods=(FACE_BCT,),
    )


def fashion_query() -> QueryRecipe:
    """The same as the fashion gallery is trained."""
    return replace(face_query(), input_size=224, schedule=fashion_gallery().schedule)


def tiny_query() -> QueryRecipe:
    """One short epoch."""
    recipe = emoji_query()
    return replace(recipe, input_size=32, schedule=replace(recipe.schedule, epochs=1))


GALLERY_RECIPES: dict[str, Callable[[], GalleryRecipe]] = {
    "emoji": emoji_gallery,
    "emoji-turns": emoji_turns_gallery,
    "emoji-bottleneck": emoji_bottleneck_gallery,
    "face": face_gallery,
    "fashion": fashion_gallery,
    "tiny": tiny_gallery,
}
SUPERNET_RECIPES: dict[str, Callable[[], SupernetRecipe]] = {
    "emoji": emoji_supernet,
    "emoji-adapt": emoji_adapt_supernet,
    **{f"emoji-{tier}": partial(emoji_short_supernet, tier) for tier in TIERS},
    "emoji-vanilla": emoji_vanilla_supernet,
    "emoji-bct": emoji_bct_supernet,
    **{f"face-{tier}": partial(face_supernet, tier) for tier in TIERS},
    "face-vanilla": partial(face_supernet, "100M", method=FACE_VANILLA),
    **{f"fashion-{tier}": partial(fashion_supernet, tier) for tier in TIERS},
    "fashion-vanilla": partial(fashion_supernet, "100M", method=FACE_VANILLA),
    "tiny": tiny_supernet,
}
QUERY_RECIPES: dict[str, Callable[[], QueryRecipe]] = {
    "emoji": emoji_query,
    "emoji-imitate": emoji_imitate_query,
    "emoji-table": emoji_table_query,
    "emoji-pruned": emoji_pruned_query,
    "bct": bct_query,
    "face": face_query,
    "fashion": fashion_query,
    "tiny": tiny_query,
}


def _find(kind: str, name: str, recipes: Mapping[str, Callable[[], Recipe]]) -> Recipe:
    if name not in recipes:
        raise unknown_choice(f"{kind} recipe", name, recipes)
    return recipes[name]()


def gallery_recipe(name: str) -> GalleryRecipe:
    """The gallery recipe of that name; a UserError lists them if there is none."""
    return _find("gallery", name, GALLERY_RECIPES)


def supernet_recipe(name: str) -> SupernetRecipe:
    """The supernet recipe of that name; a UserError lists them if there is none."""
    return _find("supernet", name, SUPERNET_RECIPES)


def query_recipe(name: str, *, method: str | None = None) -> QueryRecipe:
    """The query recipe of that name; a UserError lists them if there is none.

    Args:
        method: trains by this method with its own settings, in place of the recipe's.
    """
    recipe = _find("query", name, QUERY_RECIPES)
    return replace(recipe, methods=(method_named(method),)) if method else recipe
