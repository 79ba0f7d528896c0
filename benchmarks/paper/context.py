"""Context: the inputs that all cells of a table share, made when they are first needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edgecmp import kit
from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.benchmarks.paper.run import Run, Runs
from edgecmp.benchmarks.paper.training import Inputs, Trained, make, require_equal, require_same
from edgecmp.gallery.open import open_gallery
from edgecmp.networks.architecture import Architecture
from edgecmp.pruning import prune_gallery
from edgecmp.search import rerank
from edgecmp.search import run as search_run
from edgecmp.training.gallery import train_gallery
from edgecmp.training.query import QueryRecipe
from edgecmp.training.recipes import Recipe
from edgecmp.training.supernet import SupernetRecipe, train_supernet

__all__ = ["Context"]


MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """A recipe with its data and the folder of its runs.

    What lies in the folder is used only if it is what this command would make.

    Attributes:
        recipe: the recipe.
        runs: the runs in the folder.
        inputs: the training and test data.
        gallery: folder of the gallery model.
        made: folders that this command has made or compared.
        hashes: of the gallery models that runs were compared with.
    """

    recipe: Recipe
    runs: Runs
    inputs: Inputs
    gallery: Path
    made: set[Path] = field(default_factory=set)
    hashes: dict[Path, str] = field(default_factory=dict)

    def make(self, job: Trained, *, gallery: Path | None = None) -> Run:
        """The run of a job, with the gallery model of the recipe or another one."""
        return make(job, self.runs, gallery=gallery or self.gallery, inputs=self.inputs)

    def check(self, recipe: QueryRecipe, seed: int, run: Run) -> None:
        """Refuses an earlier run that was made with other settings, data or gallery model.

        Args:
            recipe: of its training.
            seed: of its training.
            run: the earlier run.

        Raises:
            UserError: they differ; the message says in what.
        """
        self._check(recipe, seed, self.gallery, run)

    def check_pruned(self, recipe: QueryRecipe, seed: int, run: Run) -> None:
        """As `check`, for a run with the gallery model that is pruned."""
        own = self.recipe.bottleneck is not None
        self._check(recipe, seed, self._bottleneck_place if own else self.gallery, run)

    def _check(self, recipe: QueryRecipe, seed: int, gallery: Path, run: Run) -> None:
        there = gallery.is_file() or (gallery / MANIFEST).exists()
        if there and gallery not in self.hashes:
            self.hashes[gallery] = open_gallery(gallery).sha256
        require_same(
            run,
            self.runs.place(run.key),
            recipe=recipe,
            seed=seed,
            inputs=self.inputs,
            gallery=self.hashes.get(gallery),
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

        def train() -> object:
            return train_supernet(recipe, out=folder, gallery=self.gallery, data=self.inputs.data)

        return self._once(folder, train)

    def search(self, name: str, supernet: Path, budget: str, reward: str) -> Path:
        """The folder of a search, which is run, resumed or read from its history."""
        folder = self.runs.place(f"searches/{name}")

        def search() -> object:
            return search_run(
                budget,
                out=folder,
                supernet=supernet,
                gallery=self.gallery,
                data=self.inputs.data,
                reward=reward,
                metric=self.recipe.metric,
                population=self.recipe.population,
                generations=self.recipe.generations,
            )

        return self._once(folder, search)

    def best(
        self, name: str, supernet: Path, budget: str, reward: str, places: int
    ) -> list[Architecture]:
        """The architectures of a search with the largest reward, best first."""
        folder = self.search(name, supernet, budget, reward)
        return rerank(folder, top=places).architectures

    @property
    def _bottleneck_place(self) -> Path:
        return self.runs.place("gallery-bottleneck")

    def prunable(self) -> Path:
        """The gallery model to prune, with bottleneck units; it is trained if it is missing."""
        recipe, folder = self.recipe.bottleneck, self._bottleneck_place
        if recipe is None:
            return self.gallery
        return self._once(folder, lambda: train_gallery(recipe, out=folder, data=self.inputs.data))

    def pruned(self, method: str, amount: float) -> Path:
        """The folder of a pruned copy of that model, which is made if it is missing.

        Raises:
            UserError: the folder has a copy of another model, or on other data.
        """
        folder, gallery = self.runs.place(f"pruned/{method}-{amount:g}/start"), self.prunable()

        def prune() -> None:
            if (folder / MANIFEST).exists():
                self._require_pruned(folder, gallery, method, amount)
            else:
                prune_gallery(method, amount, out=folder, gallery=gallery, data=self.inputs.data)

        return self._once(folder, prune)

    def _require_pruned(self, folder: Path, gallery: Path, method: str, amount: float) -> None:
        manifest = QueryBundle.load(folder).manifest
        made_with = {name: manifest.recipe.get(name) for name in ("method", "amount", "seed")}
        before = {
            **made_with,
            "images": manifest.data.get("fingerprint"),
            "gallery": manifest.gallery_sha256,
        }
        now = {
            **{"method": method, "amount": amount, "seed": 0},
            "images": self.inputs.fingerprints["train"],
            "gallery": open_gallery(gallery).sha256,
        }
        require_equal(before, now, folder)

    def _once(self, folder: Path, make: Callable[[], object]) -> Path:
        """The folder, after `make` has made or compared what is in it: once per command."""
        if folder not in self.made:
            make()
            self.made.add(folder)
        return folder
