"""Context: what every cell of a grid is made with, and what a grid needs before its first cell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecmp import kit
from edgecmp.benchmarks.paper.run import Run, Runs
from edgecmp.benchmarks.paper.training import Trained, make
from edgecmp.networks.architecture import Architecture
from edgecmp.pruning import prune_gallery
from edgecmp.search import rerank
from edgecmp.search import run as search_run
from edgecmp.training.gallery import train_gallery
from edgecmp.training.recipes import Recipe
from edgecmp.training.supernet import SupernetRecipe, train_supernet

__all__ = ["Context"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """A recipe on its data, with the folder that all is kept in.

    Attributes:
        recipe: of the grid.
        runs: the folder's runs.
        data: what is trained on.
        test_data: what is tested on; the same, or a set of its own such as IJB-C.
        gallery: folder of the gallery model.
    """

    recipe: Recipe
    runs: Runs
    data: str
    test_data: str
    gallery: Path

    def make(self, job: Trained, *, gallery: Path | None = None) -> Run:
        """The run of a job, with the gallery model of the grid or another one."""
        return make(
            job,
            self.runs,
            gallery=gallery or self.gallery,
            data=self.data,
            test_data=self.test_data,
        )

    def found(self, tier: str) -> Architecture:
        """The architecture of a tier: the starter kit's, where the recipe is the kit's; else the
        winner of a search in this folder, which is run first if it was not."""
        if self.recipe.kit_architectures:
            return Architecture.load(kit.architecture(tier))
        supernet = self.supernet(tier, self.recipe.supernets[tier])
        folder = self.search(f"search-{tier}", supernet, tier, self.recipe.reward)
        return Architecture.load(folder)

    def supernet(self, name: str, recipe: SupernetRecipe) -> Path:
        """The folder of a supernet, which is trained first if it was not."""
        folder = self.runs.place(f"supernets/{name}")
        if not (folder / "manifest.json").exists():
            train_supernet(recipe, out=folder, gallery=self.gallery, data=self.data)
        return folder

    def search(self, name: str, supernet: Path, budget: str, reward: str) -> Path:
        """The folder of a search, which is run first if it was not."""
        folder = self.runs.place(f"searches/{name}")
        if not (folder / "result.json").exists():
            search_run(
                budget,
                out=folder,
                supernet=supernet,
                gallery=self.gallery,
                data=self.data,
                reward=reward,
                metric=self.recipe.metric,
                population=self.recipe.population,
                generations=self.recipe.generations,
            )
        return folder

    def best(
        self, name: str, supernet: Path, budget: str, reward: str, places: int
    ) -> list[Architecture]:
        """The best architectures of a search by its reward, best first."""
        folder = self.search(name, supernet, budget, reward)
        return rerank(folder, top=places).architectures

    def prunable(self) -> Path:
        """The gallery model that is pruned: of bottleneck units; trained first if it was not."""
        if self.recipe.bottleneck is None:
            return self.gallery
        folder = self.runs.place("gallery-bottleneck")
        if not (folder / "manifest.json").exists():
            train_gallery(self.recipe.bottleneck, out=folder, data=self.data)
        return folder

    def pruned(self, method: str, amount: float) -> Path:
        """The folder of a pruned copy of that model, which is cut first if it was not."""
        folder = self.runs.place(f"pruned/{method}-{amount:g}/start")
        if not (folder / "manifest.json").exists():
            prune_gallery(method, amount, out=folder, gallery=self.prunable(), data=self.data)
        return folder
