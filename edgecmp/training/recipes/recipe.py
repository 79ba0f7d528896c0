"""Recipe: everything that `edgecmp reproduce` does a task of the paper with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgecmp.training.gallery import GalleryRecipe
from edgecmp.training.query import QueryRecipe
from edgecmp.training.supernet import SupernetRecipe

__all__ = ["Recipe"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One task.

    Attributes:
        name: of the recipe.
        data: what its networks are trained on where nothing else is named; None: always named.
        separate_test: whether it is tested on a data set of its own, which is then always named, or
            on the test split of `data`.
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
    """

    name: str
    data: str | None
    separate_test: bool
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

    @property
    def embedding_dim(self) -> int:
        """D of all embeddings of the task."""
        return self.gallery.embedding_dim
