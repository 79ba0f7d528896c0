"""Measures in a few seconds how fast this machine does each kind of work of a road."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median_low
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edgecmp import kit
from edgecmp.data.image_set import ImageSet, Integers, Pixels
from edgecmp.losses import SimilarityDivergence
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.supernet import Supernet
from edgecmp.preprocessing import Preprocessing
from edgecmp.road.costs import Pace
from edgecmp.road.division import FIRST_PASSES
from edgecmp.road.survey import Survey
from edgecmp.training.ahead import made_ahead
from edgecmp.training.methods import Similarities
from edgecmp.training.paths import sample_paths
from edgecmp.training.recipes.photos import photos_supernet
from edgecmp.training.supervision import Supervision
from edgecmp.training.views import FixedViews

__all__ = ["measure_pace", "memory_bytes"]

SAMPLE = 48
"""Images that are read and embedded."""

ENOUGH_S = 1.0
"""After this long, a measurement is not repeated any more."""

FEWEST, REPEATS = 2, 5

SLOW_S = 2.0
"""Of a batch in both networks: one that takes longer is not measured side by side."""

TAUGHT_STEPS = 4
"""Of both networks side by side, whose mean counts: single ones depend on who waits for whom."""

MOST_BATCH = 64
"""Images of a step that is measured; an image costs the same in larger ones."""

START_S = 1.0
"""Of a command on an idle machine: networks are loaded, files are written."""


def measure_pace(survey: Survey, *, supernet: bool) -> Pace:
    """Seconds of each kind of work, on samples of the survey's own images and networks.

    Args:
        survey: of the run.
        supernet: whether the run may train a supernet; its step is measured if it can be in time.
    """
    began, worked = time.monotonic(), time.process_time()
    train = survey.dataset.train
    chosen = np.unique(np.linspace(0, len(train) - 1, SAMPLE).astype(np.int64))
    preprocessing = Preprocessing(input_size=survey.input_size)
    pixels = train.pixels(preprocessing, chosen)
    read = _seconds(lambda: _prepare(train, preprocessing, chosen)) / len(chosen)
    reads = survey.model.preprocessing
    decode = _seconds(lambda: _prepare(train, reads, chosen)) / len(chosen)
    prepared = train.pixels(reads, chosen[:16])
    gallery = _seconds(lambda: survey.model.embed(prepared)) / len(prepared)
    step, embed = _network(survey, preprocessing, pixels)
    taught = _taught_step(survey, preprocessing, pixels, chosen, alone=step + gallery)
    shortest = FIRST_PASSES * survey.work.images * step
    if supernet and shortest < survey.request.seconds:
        supernet_step = _supernet_step(survey, preprocessing, pixels)
    else:
        supernet_step = step
    load = (time.monotonic() - began) / max(1e-3, time.process_time() - worked)
    load = max(1.0, load)
    return Pace(
        start=START_S * load,
        load=load,
        read=read,
        gallery=decode + gallery,
        step=step,
        taught=taught,
        supernet=supernet_step,
        embed=embed,
    )


def _prepare(train: ImageSet, preprocessing: Preprocessing, chosen: Integers) -> None:
    """Decodes and prepares images, past the memory for prepared ones."""
    for row in train.rows[chosen].tolist():
        preprocessing.fit(train.source.image(row))


def _network(
    survey: Survey,
    preprocessing: Preprocessing,
    pixels: Pixels,
) -> tuple[float, float]:
    """Seconds of one image in a training step, and in a forward pass, of the query network."""
    with torch.random.fork_rng():
        training = _Training(survey, preprocessing, pixels)
        stepped = _seconds(lambda: training.step(training.images())) / training.size
        training.network.eval()
        images = preprocessing.normalise(training.batch)

        def embed() -> None:
            with torch.inference_mode():
                training.network(images)

        return stepped, _seconds(embed) / training.size


def _taught_step(
    survey: Survey,
    preprocessing: Preprocessing,
    pixels: Pixels,
    chosen: Integers,
    *,
    alone: float,
) -> float:
    """Seconds of one image in a training step while the gallery model embeds the next batch.

    Args:
        survey: of the run.
        preprocessing: of the query network.
        pixels: images for the query network.
        chosen: which training images they are.
        alone: seconds of an image in both networks, one after the other: the answer if a batch
            takes so long that the smaller network hardly matters.
    """
    supervision = Supervision(survey.source, survey.dataset.train.subset(chosen), preprocessing)
    augmentation = survey.recipe.augmentation
    with torch.random.fork_rng(), ExitStack() as stack:
        training = _Training(survey, preprocessing, pixels)
        if alone * training.size > SLOW_S:
            return alone
        file = Path(stack.enter_context(TemporaryDirectory())) / "views"
        opened = FixedViews.opened(supervision, augmentation, 2, seed=0, path=file)
        views = stack.enter_context(opened)
        draws, rows = views.draws(1), torch.arange(training.size) % len(chosen)
        assert draws is not None

        def batches() -> Iterator[Tensor]:
            while True:
                images = training.images()
                views.embed(rows, images.clone(), draws.of(rows))
                yield images

        ready = stack.enter_context(closing(made_ahead(batches())))
        training.step(next(ready))
        began = time.monotonic()
        for _ in range(TAUGHT_STEPS):
            training.step(next(ready))
        return (time.monotonic() - began) / TAUGHT_STEPS / training.size


class _Losses:
    """The losses of the recipe `photos`, with random vectors as the gallery's embeddings.

    Args:
        size: images of a step.
        width: of the embeddings.
        generator: of the vectors.
    """

    def __init__(self, size: int, width: int, generator: torch.Generator) -> None:
        anchors = torch.randn(size + Similarities().anchors, width, generator=generator)
        self._anchors = F.normalize(anchors, dim=1)
        self._divergence = SimilarityDivergence()

    def __call__(self, embeddings: Tensor) -> Tensor:
        """Embeddings (N, D) of no more than `size` images to a scalar."""
        targets = self._anchors[: len(embeddings)]
        regression = (1 - (embeddings * targets).sum(1)).mean()
        similarities = embeddings @ self._anchors.T, targets @ self._anchors.T
        divergence: Tensor = self._divergence(*similarities)
        return regression + divergence


class _Training:
    """Training steps of the starter kit's architecture of the run's tier, with random weights."""

    def __init__(self, survey: Survey, preprocessing: Preprocessing, pixels: Pixels) -> None:
        width = survey.source.embedding_dim
        architecture = Architecture.load(kit.architecture(survey.tier))
        self.network = architecture.resized(survey.input_size, width).build().train()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.size = min(MOST_BATCH, survey.recipe.schedule.batch_size)
        self.batch = pixels[np.arange(self.size) % len(pixels)]
        self._augmentation = survey.recipe.augmentation
        self._preprocessing = preprocessing
        self._generator = torch.Generator().manual_seed(0)
        self._loss = _Losses(self.size, width, self._generator)

    def images(self) -> Tensor:
        """An augmented batch."""
        planes = self._augmentation(torch.from_numpy(self.batch), self._generator)
        return self._preprocessing.normalise_planes(planes)

    def step(self, images: Tensor) -> None:
        """Forward and backward."""
        self.network.zero_grad()
        torch.autograd.backward(self._loss(self.network(images)))


def _supernet_step(survey: Survey, preprocessing: Preprocessing, pixels: Pixels) -> float:
    """Seconds of one image in a training step of the supernet."""
    recipe = photos_supernet(survey.job)
    size = recipe.schedule.batch_size
    batch = pixels[np.arange(size) % len(pixels)]
    with torch.random.fork_rng():
        network = Supernet(
            survey.tier,
            embedding_dim=survey.source.embedding_dim,
            input_size=survey.input_size,
        )
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        network.train()
        generator = torch.Generator().manual_seed(0)
        loss = _Losses(size, survey.source.embedding_dim, generator)

        def step() -> None:
            images = recipe.augmentation(torch.from_numpy(batch), generator)
            paths = sample_paths(recipe.phases, 1.0, recipe.sampling, generator)
            parts = preprocessing.normalise_planes(images).chunk(len(paths))
            network.zero_grad()
            for part, path in zip(parts, paths, strict=False):
                torch.autograd.backward(loss(network(part, path)))

        return _seconds(step) / size


def _seconds(work: Callable[[], object]) -> float:
    """The median of a few runs after the first, which compiles kernels and fills caches."""
    work()
    began = time.monotonic()
    times: list[float] = []
    while len(times) < FEWEST or (len(times) < REPEATS and time.monotonic() - began < ENOUGH_S):
        started = time.monotonic()
        work()
        times.append(time.monotonic() - started)
    return median_low(times)


def memory_bytes(survey: Survey) -> int:
    """About the memory that the largest training needs: this process so far, and the images."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    used *= 1 if sys.platform == "darwin" else 1024
    return used + len(survey.dataset.train) * survey.input_size**2 * 3
