"""Recipe: all settings with which `edgecmp reproduce` runs a task of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgecmp.training.gallery import GalleryRecipe
from edgecmp.training.query import QueryRecipe
from edgecmp.training.supernet import SupernetRecipe

__all__ = ["Recipe"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One task of the paper.

    Attributes:
        name: of the recipe.
        data: default training data; None: it must be named.
        separate_test: whether the networks are tested on separate data, which must be named; if
            not, they are tested on the test split of `data`.
        kit_gallery: whether the gallery model is the starter kit's; if not, one is trained.
        kit_architectures: whether the architectures are the starter kit's; if not, they are
            searched for.
        gallery: recipe of the gallery model.
        bottleneck: recipe of the gallery model that is pruned (supplement C), if `gallery` has no
            bottleneck units; None: `gallery`.
        supernets: recipe of the supernet of each tier (supplement A.2).
        figure_supernets: recipes of the supernets "vanilla" and "bct" of the 100M tier (figure 1).
        query: recipe of all query networks of tables 1 to 3, searched ones and baselines.
        pruned: recipe of the pruned networks of table 4, except for the training method.
        figure: recipe of the query networks of figure 1.
        reward, metric: of the searches (supplement A.3).
        population, generations: of the searches.
    """

    name: str
    data: str | None = None
    separate_test: bool
    kit_gallery: bool
    kit_architectures: bool
    gallery: GalleryRecipe
    bottleneck: GalleryRecipe | None = None
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
        """D of the (N, D) embeddings of all networks of the task."""
        return self.gallery.embedding_dim
