"""What a training command trains with: data, gallery and start, opened once, and its recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic

from edgecmp.data import Dataset, load_dataset
from edgecmp.errors import UserError
from edgecmp.gallery.source import Gallery, GallerySource, open_source
from edgecmp.networks.form import Form, load_form
from edgecmp.training.gallery import GalleryRecipe
from edgecmp.training.job import EXAMPLE, Job
from edgecmp.training.lengths import AnyTraining
from edgecmp.training.more_images import MoreImages
from edgecmp.training.query import QueryRecipe
from edgecmp.training.recipes.choice import RecipeChoice, resolve, with_options
from edgecmp.training.recipes.registry import FITTED
from edgecmp.training.start_weights import Start
from edgecmp.training.starts import query_start, supernet_start
from edgecmp.training.supernet import SupernetRecipe

__all__ = [
    "Decided",
    "DecidedForGallery",
    "DecidedQuery",
    "decide_gallery",
    "decide_job",
    "decide_query",
    "decide_supernet",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided(Generic[AnyTraining]):
    """A recipe, and what it was fitted to.

    Attributes:
        recipe: the settings.
        dataset: the data, opened.
        more: further images without labels.
    """

    recipe: AnyTraining
    dataset: Dataset
    more: MoreImages


@dataclass(frozen=True, kw_only=True, slots=True)
class DecidedForGallery(Decided[AnyTraining]):
    """The same for a network that is compatible with a gallery.

    Attributes:
        source: the gallery, opened.
        start: the network that it starts from; None: random initial weights.
    """

    source: GallerySource
    start: Start | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DecidedQuery(DecidedForGallery[QueryRecipe]):
    """The same for a query network.

    Attributes:
        architecture: of the network.
    """

    architecture: Form


def decide_gallery(
    recipe: str | Path | GalleryRecipe | None,
    changes: Mapping[str, Any],
    *,
    data: str | Path | Dataset,
    start: str | Path | None,
) -> Decided[GalleryRecipe]:
    """Opens the data of a gallery model, and fits its recipe.

    Args:
        recipe: a name, a .toml file or a recipe; None: see `RecipeChoice.of`.
        changes: see `RecipeChoice.changes`; None for what was not given.
        data: name or path of the data, or the data, opened.
        start: what it starts from, if anything.

    Raises:
        UserError: a name is unknown, a value out of range, or the data cannot be read.
    """
    wanted = _Wanted(GalleryRecipe, recipe, changes, data)
    dataset = _opened(data)
    job = Job.of(dataset, None, has_start=start is not None, input_size=wanted.given("input_size"))
    return Decided(recipe=wanted.fitted(job), dataset=dataset, more=MoreImages())


def decide_supernet(
    recipe: str | Path | SupernetRecipe | None,
    changes: Mapping[str, Any],
    *,
    data: str | Path | Dataset,
    gallery: Gallery,
    start: str | Path | Start | None,
    unlabelled: Sequence[str | Path] = (),
    gallery_images: bool = False,
) -> DecidedForGallery[SupernetRecipe]:
    """Opens what a supernet is trained with, and fits its recipe.

    Args:
        recipe: see `decide_gallery`.
        changes: see `decide_gallery`.
        data: see `decide_gallery`.
        gallery: as `open_source` takes it.
        start: as `supernet_start` takes it.
        unlabelled: see `MoreImages.open`.
        gallery_images: see `MoreImages.open`.

    Raises:
        UserError: see `decide_gallery`; also if the gallery or the start cannot be opened.
    """
    wanted = _Wanted(SupernetRecipe, recipe, changes, data)
    source, tier = open_source(gallery), wanted.fitted(EXAMPLE).tier
    first = supernet_start(start, tier=tier)
    dataset = _opened(data)
    more = MoreImages.open(dataset, unlabelled, gallery_images=gallery_images)
    job = Job.of(
        dataset,
        source,
        tier=tier,
        has_start=first is not None,
        unlabelled=len(more),
        input_size=wanted.given("input_size"),
    )
    return DecidedForGallery(
        recipe=wanted.fitted(job), dataset=dataset, more=more, source=source, start=first
    )


def decide_query(
    recipe: str | Path | QueryRecipe | None,
    changes: Mapping[str, Any],
    *,
    architecture: str | Path | Form,
    data: str | Path | Dataset,
    gallery: Gallery,
    supernet: str | Path | None,
    start: str | Path | Start | None,
    unlabelled: Sequence[str | Path] = (),
    gallery_images: bool = False,
) -> DecidedQuery:
    """Opens what a query network is trained with, and fits its recipe.

    The input size is the one that the user gave, else that of the architecture's file, which a
    search chose, else the recipe's.

    Args:
        recipe: see `decide_gallery`.
        changes: see `decide_gallery`.
        architecture: path of an architecture's file or folder, the name of a baseline, or a form.
        data: see `decide_gallery`.
        gallery: as `open_source` takes it.
        supernet: as `query_start` takes it.
        start: as `query_start` takes it.
        unlabelled: see `MoreImages.open`.
        gallery_images: see `MoreImages.open`.

    Raises:
        UserError: see `decide_supernet`; also if the architecture cannot be read.
    """
    wanted = _Wanted(QueryRecipe, recipe, changes, data)
    source, path, size = open_source(gallery), None, wanted.given("input_size")
    if isinstance(architecture, str | Path):
        place, architecture = Path(architecture), load_form(architecture)
        if place.exists():
            path, size = place, size or architecture.input_size
    dataset = _opened(data)
    more = MoreImages.open(dataset, unlabelled, gallery_images=gallery_images)
    job = Job.of(dataset, source, unlabelled=len(more), input_size=size)
    size = size or wanted.fitted(job).input_size
    form = architecture.resized(size, source.embedding_dim)
    first = query_start(form, path=path, supernet=supernet, start=start)
    fitted = wanted.fitted(replace(job, has_start=first is not None))
    return DecidedQuery(
        recipe=replace(fitted, input_size=size),
        dataset=dataset,
        more=more,
        source=source,
        start=first,
        architecture=architecture,
    )


def decide_job(name: str, *, data: str | Path | None, gallery: Gallery) -> Job | None:
    """The job for which the recipes of a name are shown; None if they are the same for all data.

    Args:
        name: of the recipes.
        data: name or path of the data; None: an example.
        gallery: as `open_source` takes it.

    Raises:
        UserError: data or a gallery is named in vain, or cannot be opened.
    """
    if name != FITTED and (data is not None or gallery is not None):
        raise UserError(
            f"The recipe {name!r} is the same for all data and galleries.",
            f"Omit --data and --gallery, or show {FITTED!r}, which is fitted to them.",
        )
    if data is None:
        if gallery is not None:
            raise UserError("--gallery has no effect without --data.", "Name the data too.")
        return None
    has_start = supernet_start(None, tier=EXAMPLE.tier) is not None
    return Job.of(_opened(data), open_source(gallery), has_start=has_start)


class _Wanted(Generic[AnyTraining]):
    """The recipe that a user asked for; it refuses what is wrong before any data is opened."""

    def __init__(
        self,
        kind: type[AnyTraining],
        recipe: str | Path | AnyTraining | None,
        changes: Mapping[str, Any],
        data: str | Path | Dataset,
    ) -> None:
        self.kind: type[AnyTraining] = kind
        self.changes = {name: value for name, value in changes.items() if value is not None}
        self.recipe: AnyTraining | None = None
        self.choice = RecipeChoice()
        if recipe is None or isinstance(recipe, str | Path):
            self.choice = RecipeChoice.of(recipe, data=data, **self.changes)
        else:
            self.recipe = recipe
        self.fitted(EXAMPLE)

    def given(self, name: str) -> Any:
        """A value that the user gave by an option or in a file, else None."""
        if self.recipe is not None:
            return self.changes.get(name)
        return self.choice.given(self.kind, name)

    def fitted(self, job: Job) -> AnyTraining:
        """The recipe for a job, with the changes."""
        if self.recipe is not None:
            return with_options(self.recipe, self.changes)
        fitted: AnyTraining = resolve(self.kind, self.choice, job)
        return fitted


def _opened(data: str | Path | Dataset) -> Dataset:
    return data if isinstance(data, Dataset) else load_dataset(data)
