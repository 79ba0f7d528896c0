"""Survey: what there is, looked at once: the gallery model, the data and the bounds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecmp import kit
from edgecmp.data import Dataset, Retrieval, load_dataset
from edgecmp.errors import UserError
from edgecmp.files import sha256_file, sha256_json
from edgecmp.gallery.source import ModelSource, Need, open_source
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.embed import Embedder
from edgecmp.networks.tiers import TIERS
from edgecmp.road.costs import Work
from edgecmp.search.request import SearchRequest
from edgecmp.search.settings import SearchSettings
from edgecmp.search.space.constraint import budget_text, parse_budget
from edgecmp.search.space.flops import FlopsTable
from edgecmp.training.job import Job
from edgecmp.training.more_images import MoreImages
from edgecmp.training.query import QueryRecipe
from edgecmp.training.recipes.photos import photos_query
from edgecmp.wording import counted

__all__ = ["Request", "Survey"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What the user asks for: the options of `edgecmp run`.

    Attributes:
        gallery: the gallery model; None: the starter kit's.
        data: the data.
        budget: FLOPs at 224 x 224, "100M".
        seconds: that the run may take.
        out: its folder.
        latency: "4ms"; None without a bound.
        table: the latency table of the device; None without a bound.
        input_size: of the query network, in pixels; None: chosen.
        unlabelled: paths of images without labels that the trainings learn from too.
        gallery_images: whether they learn from the gallery images of the hold-out and the test.
        adapter: whether the trainings may learn better queries than the gallery model's embeddings,
            see `QueryRecipe`.
        skip: stations that are left out.
        seed: of every training and the search.
    """

    gallery: Path | None
    data: str
    budget: str
    seconds: float
    out: Path
    latency: str | None = None
    table: Path | None = None
    input_size: int | None = None
    unlabelled: tuple[Path, ...] = ()
    gallery_images: bool = False
    adapter: bool = True
    skip: frozenset[str] = frozenset()
    seed: int = 0

    def bounds(self) -> SearchRequest:
        """The bounds of the search, parsed.

        Raises:
            UserError: one of them cannot be parsed or read, or lacks the other.
        """
        lowering = None
        if self.table is not None:
            from edgecmp.export.fingerprint import lowering_fingerprint  # needs the extra "export"

            lowering = lowering_fingerprint()
        return SearchRequest.parse(
            self.budget,
            latency=self.latency,
            table=self.table,
            lowering=lowering,
            input_sizes=None,
            settings=SearchSettings(),
            jobs=None,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """The opened gallery model and data, and what follows from them.

    Attributes:
        request: of the user.
        source: the gallery.
        dataset: the data.
        more: images without labels that the trainings learn from too.
        task: of the test split.
        holdout: the task of the validation split.
        budget: FLOPs.
        tier: of the search space: the smallest that has the budget, or the largest.
        job: what recipes are fitted to.
        recipe: of the query network.
    """

    request: Request
    source: ModelSource
    dataset: Dataset
    more: MoreImages
    task: Retrieval
    holdout: Retrieval
    budget: int
    tier: str
    job: Job
    recipe: QueryRecipe

    @classmethod
    def of(cls, request: Request) -> Survey:
        """Opens the gallery model and the data.

        Raises:
            UserError: one of them cannot be opened, the gallery is a table without its network, a
                split of the data is empty, or no architecture is within the bounds.
        """
        budget = parse_budget(request.budget)
        bounds = request.bounds()
        source = open_source(request.gallery)
        if not isinstance(source, ModelSource):
            raise UserError(
                f"{source.name} is a table of embeddings, but edgecmp run embeds images with the "
                "gallery model itself.",
                "Name the model, or take the steps one by one: docs/how-to/onnx-gallery.md shows "
                "them for a table.",
            )
        dataset = load_dataset(request.data)
        task, holdout = dataset.retrieval("test"), dataset.retrieval("validation")
        more = MoreImages.open(dataset, request.unlabelled, gallery_images=request.gallery_images)
        tier = tier_of(budget)
        job = Job.of(
            dataset,
            source,
            tier=tier,
            has_start=True,
            unlabelled=len(more),
            input_size=request.input_size,
        )
        recipe = photos_query(job)
        bounds.spaces(tier, input_size=recipe.input_size, embedding_dim=source.embedding_dim)
        return cls(
            request=request,
            source=source,
            dataset=dataset,
            more=more,
            task=task,
            holdout=holdout,
            budget=budget,
            tier=tier,
            job=job,
            recipe=recipe,
        )

    @property
    def model(self) -> Embedder:
        """The gallery model."""
        return self.source.model

    @property
    def input_size(self) -> int:
        """Of the query network, in pixels."""
        return self.recipe.input_size

    @property
    def work(self) -> Work:
        """What there is to do, counted."""
        return Work(
            train=len(self.dataset.train),
            holdout=len(self.holdout.queries) + len(self.holdout.gallery),
            queries=len(self.task.queries),
            gallery=len(self.task.gallery),
            unlabelled=len(self.more),
            views=self._views,
        )

    @property
    def _views(self) -> int | None:
        """See `Work.views`."""
        if not any(Need.NETWORK in method.needs for method in self.recipe.methods):
            return 0
        return self.recipe.views - 1 if self.recipe.views else None

    @property
    def settings(self) -> dict[str, Any]:
        """What identifies the run: the settings of its record."""
        request = self.request
        return {
            "gallery": self.source.sha256,
            "data": self.dataset.train.fingerprint,
            "hold-out": self.dataset.validation.fingerprint,
            "test split": self.dataset.test.fingerprint,
            "budget": self.budget,
            "latency bound": request.latency,
            "latency table": None if request.table is None else sha256_file(request.table),
            "input size": self.input_size,
            "seed": request.seed,
            "adapter": request.adapter,
            "set of images without labels": sha256_json(self.more.compared) if self.more else None,
        }

    def kit_architecture(self) -> Architecture | None:
        """The kit's architecture of the tier, if it is within the bounds, for this gallery."""
        if self.request.latency is not None:
            return None
        found = Architecture.load(kit.architecture(self.tier))
        fitted = found.resized(self.input_size, self.source.embedding_dim)
        flops = FlopsTable.of(self.tier, embedding_dim=fitted.embedding_dim).count(fitted)
        return fitted if flops <= self.budget else None

    @property
    def _seen(self) -> str:
        """What the trainings see of the test split, in words."""
        if self.request.gallery_images:
            return "its gallery images are trained on, without their identities"
        return "identities that no training sees"

    def sentences(self) -> list[str]:
        """What was found, in sentences."""
        size = self.model.preprocessing.size
        pixels = f"{size[0]} px" if size[0] == size[1] else f"{size[0]} x {size[1]} px"
        train = self.dataset.train
        found = [
            f"Gallery model: {self.source.name}, {pixels}, {self.source.embedding_dim:,} values.",
            f"Data: {self.request.data}: {counted(len(train), 'training image')} of "
            f"{counted(len(train.identity_names), 'identity')}, "
            f"{self.job.median_side:,} px on the shorter side.",
            f"Hold-out: {self.holdout.describe()}.",
            f"Test: {self.task.describe()}; {self._seen}.",
            f"Query network: tier {self.tier}, at most {budget_text(self.budget)} FLOPs, "
            f"{self.input_size} px.",
        ]
        if self.more:
            found.insert(2, f"Besides: {counted(len(self.more), 'training image')} without labels.")
        if self.tier != "100M":
            found.append(
                f"The starter kit's supernet is of the tier 100M: that of the tier {self.tier} "
                "starts from its weights, widened."
            )
        return found


def tier_of(budget: int) -> str:
    """The smallest tier that has room for a budget; the largest if none has."""
    by_size = sorted(TIERS.values(), key=lambda tier: tier.max_flops)
    fitting = (tier.name for tier in by_size if tier.max_flops >= budget)
    return next(fitting, by_size[-1].name)
