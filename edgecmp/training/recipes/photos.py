"""Recipes for any images, fitted to a `Job`: the defaults for data that is not an embedded set.

The rules, whose numbers stand at the top of this file:

- The input size is what a CPU can train, 112 pixels for few images and 80 for many, 16 less for
  larger tiers; a multiple of 16, and never more pixels than the images or the gallery's input have.
- Batches shrink with the number of images, so that an epoch has at least 8 steps, and the learning
  rate with the square root of the batch. Below 64 images per batch each step of a supernet trains
  one path, since four paths would share too few images.
- Epochs grow as the number of images shrinks, with the inverse of its square root, up to 240.
- The average of the weights spans a twentieth of the training, and at most 100 steps; the warm-up
  takes a fortieth of the epochs. The hold-out is evaluated five times.
- A network with a start needs fewer epochs, a lower learning rate and no phases, and a query
  network finds more after small batches.
- A gallery model that reads what the phone reads, at most 80 pixels, embeds every augmented image.
  The embeddings of another one are costly, so each image has up to 8 fixed views that are embedded
  once, 30,000 in all; if that leaves less than 3 views, only unchanged images are embedded.
"""

from __future__ import annotations

import math
from dataclasses import replace

from edgecmp.gallery.source import Need
from edgecmp.networks.tiers import TIERS
from edgecmp.training.augment import LIGHT
from edgecmp.training.gallery import GalleryRecipe
from edgecmp.training.job import EXAMPLE, Job
from edgecmp.training.methods import (
    BackwardCompatible,
    Imitation,
    Method,
    RegressionCosine,
    Similarities,
)
from edgecmp.training.paths import Phase
from edgecmp.training.query import QueryRecipe
from edgecmp.training.schedule import Schedule
from edgecmp.training.supernet import SupernetRecipe

__all__ = ["photos_gallery", "photos_query", "photos_supernet"]

SIZES = ((1_000, 112), (4_000, 96))
"""Input sizes for up to so many images, in pixels..."""
SIZE_OF_MANY = 80
"""...and for more."""
SMALLEST, LARGEST, STEP = 32, 224, 16

MANY = 10_000
"""Images for which a schedule's epochs are stated below."""
FEWEST_EPOCHS, MOST_EPOCHS = 3, 240

STEPS = 8
"""An epoch has at least so many, down to 32 images."""
SMALLEST_BATCH = 4
SMALLEST_SHARED_BATCH = 64
"""From here on a step of a supernet trains four paths, on a part of the batch each."""

AVERAGED = 100
"""The most steps that the average of the weights spans."""
EVALUATIONS = 5
"""Of the hold-out in one training."""

FRESH_UP_TO = 80
"""Pixels of a gallery model that may run in every step."""
EMBEDDED = 30_000
"""Views that a larger gallery model embeds in one training."""
FEWEST_VIEWS, MOST_VIEWS = 3, 8

SEVERAL = 4.0
"""Mean number of images of an identity from which its label says something."""

GROWING = (
    Phase(until=0.10, blocks=1, narrowest=8),
    Phase(until=0.20, blocks=1, narrowest=6),
    Phase(until=0.30, blocks=1, narrowest=4),
    Phase(until=0.40, blocks=1, narrowest=2),
    Phase(until=1.00, blocks=1, narrowest=0),
)
"""Phases of a supernet that grows from one network, from the largest widths down."""


def photos_gallery(job: Job = EXAMPLE) -> GalleryRecipe:
    """A gallery model for any images: ResNet-18 with CosFace, fitted to their number and size.

    Of the job, only what concerns the images and the start matters.
    """
    job = replace(job, gallery_size=None, tier=EXAMPLE.tier)
    epochs, lr = (10, 0.06) if job.has_start else (36, 0.1)
    schedule = _schedule(job, epochs=epochs, lr=lr, largest=128)
    return GalleryRecipe(
        network="resnet18s",
        input_size=_size(job),
        schedule=replace(schedule, weight_decay=5e-4),
        watch_every=_watch_every(schedule),
        half=True,
    )


def photos_supernet(job: Job = EXAMPLE) -> SupernetRecipe:
    """A supernet for any images and gallery: adapted from its start, or grown from one network."""
    epochs, lr = (24, 0.1) if job.has_start else (60, 0.15)
    schedule = _schedule(job, epochs=epochs, lr=lr, largest=256)
    seed = replace(_schedule(job, epochs=20, lr=0.2, largest=128), weight_decay=2e-4)
    return SupernetRecipe(
        tier=job.tier,
        input_size=_size(job),
        seed_schedule=None if job.has_start else seed,
        schedule=schedule,
        phases=(Phase(until=1.0, blocks=1, narrowest=0),) if job.has_start else GROWING,
        methods=(*_by_embeddings(job, fixed=10.0), *_by_labels(job, weight=1.0)),
        sampling="fair" if schedule.batch_size >= SMALLEST_SHARED_BATCH else "uniform",
        augmentation=LIGHT,
        watch_every=_watch_every(schedule),
        adapter=job.has_start,
        half=True,
    )


def photos_query(job: Job = EXAMPLE) -> QueryRecipe:
    """A query network for any images and gallery, by what the gallery provides.

    The gallery's embeddings come first: they say for each image, labelled or not, where it belongs.
    With the gallery's network the targets are exact for augmented and blended images too
    (imitation), beside those of the images as they are (regression). With a start, the similarities
    to other images are matched too, since their order is what a search returns: a regression alone
    spends its capacity on what all embeddings have in common. The classifier of BCT is added only
    where identities have at least four images each on average: the class of an identity with one
    image is the embedding of that image, so its label says nothing that the embedding does not,
    and the softmax only drives the embeddings of similar identities apart.
    """
    epochs, lr = (24, 0.1) if job.has_start else (48, 0.15)
    schedule = _schedule(job, epochs=epochs, lr=lr, largest=64 if job.has_start else 128)
    schedule = replace(schedule, weight_decay=2e-4)
    size = _size(job)
    views = _views(job, size)
    methods = _by_embeddings(job, fixed=10.0 if views is None else 2.5)
    if views is not None:
        weight = 5.0 if job.has_start else 10.0
        methods = (Imitation(weight=weight, mixed=0.5), *methods)
    return QueryRecipe(
        input_size=size,
        schedule=schedule,
        methods=(*methods, *_by_labels(job, weight=0.3)),
        augmentation=LIGHT,
        views=views or 0,
        watch_every=_watch_every(schedule),
        adapter=job.has_start,
        gain=True,
        half=True,
    )


def _views(job: Job, size: int) -> int | None:
    """Views per image for imitation at this input size (see `QueryRecipe`); None: no imitation."""
    if Need.NETWORK not in job.provides:
        return None
    if job.same_pixels and job.gallery_size == size and size <= FRESH_UP_TO:
        return 0
    views = min(MOST_VIEWS, EMBEDDED // max(1, job.images + job.unlabelled))
    return views if views >= FEWEST_VIEWS else None


def _by_embeddings(job: Job, *, fixed: float) -> tuple[Method, ...]:
    """Methods that compare with the gallery's embeddings of the images as they are.

    From random weights, whose embeddings have nothing in common with the gallery's, the steep loss
    over similarities may diverge, so it is left to trainings with a start.

    Args:
        job: the job.
        fixed: weight of the regression, half of which the similarities take over.
    """
    if not job.has_start:
        return (RegressionCosine(weight=fixed),)
    return (RegressionCosine(weight=fixed / 2), Similarities())


def _by_labels(job: Job, *, weight: float) -> tuple[Method, ...]:
    """BCT with the gallery's classifier, where the labels carry it."""
    if Need.CLASSIFIER not in job.provides or job.per_identity < SEVERAL:
        return ()
    return (BackwardCompatible(own=0.0, bct=weight, bct_margin=0.0),)


def _size(job: Job) -> int:
    """The input size in pixels."""
    if job.input_size is not None:
        return job.input_size
    wanted = next((size for images, size in SIZES if job.images <= images), SIZE_OF_MANY)
    if job.tier != min(TIERS, key=lambda name: TIERS[name].max_flops):
        wanted -= STEP
    most = min(wanted, LARGEST, job.median_side, job.gallery_size or LARGEST)
    return max(SMALLEST, most // STEP * STEP)


def _schedule(job: Job, *, epochs: int, lr: float, largest: int) -> Schedule:
    """The schedule for the job's images.

    Args:
        job: the job.
        epochs: for 10,000 images.
        lr: for batches of 128 images.
        largest: the largest batch.
    """
    images = max(1, job.images + job.unlabelled)
    batch = _batch(images, largest)
    passes = round(epochs * math.sqrt(MANY / images))
    passes = min(MOST_EPOCHS, max(FEWEST_EPOCHS, passes))
    averaged = min(AVERAGED, max(5, passes * max(1, images // batch) / 20))
    return Schedule(
        epochs=passes,
        batch_size=batch,
        lr=_rounded(lr * min(1.0, math.sqrt(batch / 128))),
        weight_decay=1e-4,
        warmup_epochs=_rounded(passes / 40),
        ema=_rounded(1 - 1 / averaged),
    )


def _batch(images: int, largest: int) -> int:
    """Images per step: a multiple of 4 where there are enough for that."""
    batch = min(largest, images // STEPS)
    return max(SMALLEST_BATCH, batch // 4 * 4 if batch >= 8 else batch)


def _watch_every(schedule: Schedule) -> int:
    """Epochs between evaluations of the hold-out."""
    return math.ceil(schedule.epochs / EVALUATIONS)


def _rounded(value: float) -> float:
    """Three digits, so that a recipe reads well."""
    return float(f"{value:.3g}")
