"""Context: the inputs that all cells of a table share, made when they are first needed."""

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
    """A recipe with its data and the folder of its runs.

    Attributes:
        recipe: the recipe.
        runs: the runs in the folder.
        data: the training data.
        test_data: the test data: the same, or a separate set such as IJB-C.
        gallery: folder of the gallery model.
    """

    recipe: Recipe
    runs: Runs
    data: str
    test_data: str
    gallery: Path

    def make(self, job: Trained, *, gallery: Path | None = None) -> Run:
        """The run of a job, with the gallery model of the recipe or another one."""
        return make(
            job,
            self.runs,
            gallery=gallery or self.gallery,
            data=self.data,
            test_data=self.test_data,
        )

    def found(self, tier: str) -> Architecture:
        """The searched architecture of a tier: that of the starter kit if the recipe uses it, else
        the winner of a search in this folder, which is run if it is missing."""
        if self.recipe.kit_architectures:
            return Architecture.load(kit.architecture(tier))
        supernet = self.supernet(tier, self.recipe.supernets[tier])
        folder = self.search(f"search-{tier}", supernet, tier, self.recipe.reward)
        return Architecture.load(folder)

    def supernet(self, name: str, recipe: SupernetRecipe) -> Path:
        """The folder of a supernet, which is trained if it is missing."""
        folder = self.runs.place(f"supernets/{name}")
        if not (folder / "manifest.json").exists():
            train_supernet(recipe, out=folder, gallery=self.gallery, data=self.data)
        return folder

    def search(self, name: str, supernet: Path, budget: str, reward: str) -> Path:
        """The folder of a search, which is run if it is missing."""
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
        """The architectures of a search with the largest reward, best first."""
        folder = self.search(name, supernet, budget, reward)
        return rerank(folder, top=places).architectures

    def prunable(self) -> Path:
        """The gallery model to prune, with bottleneck units; it is trained if it is missing."""
        if self.recipe.bottleneck is None:
            return self.gallery
        folder = self.runs.place("gallery-bottleneck")
        if not (folder / "manifest.json").exists():
            train_gallery(self.recipe.bottleneck, out=folder, data=self.data)
        return folder

    def pruned(self, method: str, amount: float) -> Path:
        """The folder of a pruned copy of that model, which is made if it is missing."""
        folder = self.runs.place(f"pruned/{method}-{amount:g}/start")
        if not (folder / "manifest.json").exists():
            prune_gallery(method, amount, out=folder, gallery=self.prunable(), data=self.data)
        return folder
