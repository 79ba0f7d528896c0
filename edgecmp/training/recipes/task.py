"""Recipe: everything that a task of the paper is done with, from the gallery model to the tables.

"face" and "fashion" follow supplement A.1 to A.3 and want a GPU; "emoji" is the starter kit's task
at the scale of two CPU cores. Each has a "-tiny" form that runs in seconds, for tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from edgecmp.errors import unknown_choice
from edgecmp.networks.tiers import TIERS
from edgecmp.training.gallery import GalleryRecipe
from edgecmp.training.query import QueryRecipe
from edgecmp.training.recipes.parts import gallery_recipe, query_recipe, supernet_recipe
from edgecmp.training.supernet import SupernetRecipe

__all__ = ["RECIPES", "Recipe", "emoji", "face", "fashion", "recipe"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One task.

    Attributes:
        name: of the recipe.
        data: what it is trained and tested on where nothing else is named; None: always named.
        kit_gallery: whether the starter kit's gallery model is its own, or one is trained.
        kit_architectures: whether the architectures found for the starter kit are its own, or they
            are searched for.
        gallery: the gallery model.
        bottleneck: the gallery model that is pruned (supplement C), where `gallery` has no
            bottleneck units; None: `gallery` itself.
        supernets: one a tier (supplement A.2).
        figure_supernets: "vanilla" and "bct", of the 100M tier (figure 1).
        query: how every query network of tables 1 to 3 is trained, found ones and baselines alike.
        pruned: the same for the pruned copies of table 4; the training method is the table's.
        figure: the same for the networks of figure 1.
        reward, metric: of the searches (supplement A.3).
        population, generations: of the searches.
        holdout_share: of the training identities, kept for the search (supplement A.1).
        targets: the metrics that the results are reported in.
    """

    name: str
    data: str | None
    kit_gallery: bool
    kit_architectures: bool
    gallery: GalleryRecipe
    bottleneck: GalleryRecipe | None
    supernets: Mapping[str, SupernetRecipe]
    figure_supernets: Mapping[str, SupernetRecipe]
    query: QueryRecipe
    pruned: QueryRecipe
    figure: QueryRecipe
    reward: str
    metric: str
    population: int
    generations: int
    holdout_share: float
    targets: tuple[str, ...]

    @property
    def embedding_dim(self) -> int:
        """D of all embeddings of the task."""
        return self.gallery.embedding_dim


def emoji() -> Recipe:
    """The embedded set on two cores: the kit's gallery model, short trainings, quick searches."""
    query = query_recipe("emoji-table")
    return Recipe(
        name="emoji",
        data="emoji",
        kit_gallery=True,
        kit_architectures=True,
        gallery=gallery_recipe("emoji"),
        bottleneck=gallery_recipe("emoji-bottleneck"),
        supernets={tier: supernet_recipe(f"emoji-{tier}") for tier in TIERS},
        figure_supernets={name: supernet_recipe(f"emoji-{name}") for name in ("vanilla", "bct")},
        query=query,
        pruned=query_recipe("emoji-pruned"),
        figure=replace(query, schedule=replace(query.schedule, epochs=3)),
        reward="r3",
        metric="top1",
        population=20,
        generations=7,
        holdout_share=0.10,
        targets=("top1", "top10", "top20"),
    )


def face() -> Recipe:
    """IMDB-Face to IJB-C (supplement A): TAR@FAR=1e-3 rewards, 5 % of the identities held out."""
    query = query_recipe("face")
    return Recipe(
        name="face",
        data=None,
        kit_gallery=False,
        kit_architectures=False,
        gallery=gallery_recipe("face"),
        bottleneck=None,
        supernets={tier: supernet_recipe(f"face-{tier}") for tier in TIERS},
        figure_supernets={
            "vanilla": supernet_recipe("face-vanilla"),
            "bct": supernet_recipe("face-100M"),
        },
        query=query,
        pruned=query,
        figure=query,
        reward="r3",
        metric="tar",
        population=50,
        generations=20,
        holdout_share=0.05,
        targets=("tar_far1e-4", "tpir_fpir1e-1"),
    )


def fashion() -> Recipe:
    """DeepFashion2 (supplement A): top-50 rewards, 10 % of the identities held out."""
    query = query_recipe("fashion")
    return replace(
        face(),
        name="fashion",
        gallery=gallery_recipe("fashion"),
        supernets={tier: supernet_recipe(f"fashion-{tier}") for tier in TIERS},
        figure_supernets={
            "vanilla": supernet_recipe("fashion-vanilla"),
            "bct": supernet_recipe("fashion-100M"),
        },
        query=query,
        pruned=query,
        figure=query,
        metric="top50",
        holdout_share=0.10,
        targets=("top1", "top10", "top20"),
    )


def tiny(whole: Recipe) -> Recipe:
    """The same task in seconds: one short epoch of everything on 32 pixels, for tests."""
    small, query = supernet_recipe("tiny"), query_recipe("tiny")
    return replace(
        whole,
        name=f"{whole.name}-tiny",
        kit_gallery=False,
        gallery=gallery_recipe("tiny"),
        bottleneck=replace(gallery_recipe("tiny"), network="resnet26s"),
        supernets={tier: replace(small, tier=tier) for tier in TIERS},
        figure_supernets={"vanilla": small, "bct": small},
        query=query,
        pruned=query,
        figure=query,
        population=4,
        generations=2,
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "emoji": emoji,
    "face": face,
    "fashion": fashion,
    "emoji-tiny": lambda: tiny(emoji()),
    "face-tiny": lambda: tiny(face()),
    "fashion-tiny": lambda: tiny(fashion()),
}


def recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UserError: there is no such recipe; the message lists them.
    """
    if name not in RECIPES:
        raise unknown_choice("recipe", name, RECIPES)
    return RECIPES[name]()
