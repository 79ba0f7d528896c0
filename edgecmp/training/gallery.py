"""Trains a gallery model with a margin softmax, and keeps the classifier for BCT."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecmp.artefacts.bundle import GalleryBundle
from edgecmp.data import Dataset, quarter_turns
from edgecmp.errors import UserError
from edgecmp.evaluation.retrieval import protocol
from edgecmp.losses import CosFace
from edgecmp.networks.constant_channels import hold_constant
from edgecmp.networks.embed import embed
from edgecmp.networks.gallery import build_gallery
from edgecmp.progress import say
from edgecmp.training.augment import Augmentation
from edgecmp.training.fields import Count, Number, Positive, Side, document_of
from edgecmp.training.fit import PlainTask
from edgecmp.training.report import TrainingReport
from edgecmp.training.schedule import Schedule
from edgecmp.training.session import TrainingSession
from edgecmp.training.shown import Shown

__all__ = ["GalleryRecipe", "train_gallery"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GalleryRecipe:
    """All settings of a gallery model except the images and the seed.

    Attributes:
        network: name of the gallery network.
        input_size: height and width of the images, in pixels.
        schedule: of the optimisation.
        embedding_dim: D of the (N, D) embeddings.
        scale: of CosFace: of its logits.
        margin: of CosFace: what is subtracted from the cosine of the correct class.
        augmentation: of the training images.
        quarter_turns: train on each image in four rotations, each rotation a separate identity (see
            `edgecmp.data.quarter_turns`); an epoch is then four times as long.
        watch_every: epochs between evaluations on the hold-out.
        half: store the weights in float16.
    """

    network: str
    input_size: Side
    schedule: Schedule
    embedding_dim: Count = 128
    scale: Positive = 24.0
    margin: Number = 0.2
    augmentation: Augmentation = field(default_factory=Augmentation)
    quarter_turns: bool = False
    watch_every: Count = 5
    half: bool = False


class _Task(PlainTask):
    """CosFace on the embeddings of the gallery network."""

    def __init__(self, recipe: GalleryRecipe, labels: Tensor) -> None:
        self.network = build_gallery(
            recipe.network, embedding_dim=recipe.embedding_dim, input_size=recipe.input_size
        )
        classes = int(labels.max()) + 1
        self.head = CosFace(classes, recipe.embedding_dim, scale=recipe.scale, margin=recipe.margin)
        self.module = nn.ModuleDict({"network": self.network, "head": self.head})
        self.labels = labels

    def imprint(self, embeddings: Tensor) -> None:
        """Sets the head to the mean embedding of each class.

        Source: Qi et al., "Low-Shot Learning with Imprinted Weights", CVPR 2018,
        https://arxiv.org/abs/1712.07136.

        Args:
            embeddings: (N, D), in the order of the labels.
        """
        sums = torch.zeros_like(self.head.weight).index_add_(0, self.labels, embeddings)
        with torch.no_grad():
            length = self.head.weight.norm(dim=1).mean()
            self.head.weight.copy_(F.normalize(sums, dim=1) * length)

    def loss(self, prepared: Shown) -> Tensor:
        loss: Tensor = self.head(self.network(prepared.images), self.labels[prepared.indices])
        return loss


def train_gallery(
    recipe: GalleryRecipe,
    *,
    out: str | Path,
    start: str | Path | None = None,
    data: str | Dataset = "emoji",
    seed: int = 0,
) -> TrainingReport:
    """Trains a gallery model on the training identities of `data` and writes its bundle to `out`.

    An interrupted training resumes from the checkpoint in `out`, and a finished one is not
    repeated: with the same settings and training images.

    Args:
        recipe: the settings.
        out: folder for the bundle and the checkpoint.
        start: folder of a gallery model of the same network, whose weights initialise it; None:
            random initial weights.
        data: name or path of the data, or the data, opened.
        seed: of all random numbers.

    Raises:
        UserError: `start` contains another network than the recipe's, the data cannot be read, the
            training diverges, or `out` contains another training.
    """
    first = None if start is None else _starting_model(recipe, start)
    with TrainingSession.begin(
        recipe, kind="gallery", data=data, input_size=recipe.input_size, out=out, seed=seed
    ) as session:
        if recipe.quarter_turns:
            session.images = quarter_turns(session.dataset.train)
        settings = {**document_of(recipe), "start_sha256": first.sha256 if first else None}
        _check_identities(session.dataset)
        if (finished := session.open(settings)) is not None:
            return finished
        task = _Task(recipe, torch.from_numpy(session.images.identities))
        if first is not None and not session.resumed:
            _start_from(first, task, session)
        return _trained(session, recipe, task)


def _check_identities(dataset: Dataset) -> None:
    """Refuses training images of one identity; says what is learnt where each has one image."""
    images_of = np.bincount(dataset.train.identities)
    if np.count_nonzero(images_of) < 2:
        raise UserError(
            f"All training images of {dataset.name} show one identity, and a gallery model learns "
            "to tell identities apart.",
            "Add images of others to the training split.",
        )
    if images_of.max() == 1:
        say(
            f"Each training identity of {dataset.name} has one image, so the gallery model learns "
            "to recognise augmented views of it, not other photos of the same thing."
        )


def _start_from(first: GalleryBundle, task: _Task, session: TrainingSession) -> None:
    """Initialises the network with another's weights, and the classifier with its embeddings."""
    task.network.load_state_dict(first.network.state_dict())
    say(f"Embedding {len(session.images)} training images to initialise the classifier.")
    batches = session.images.batches(session.preprocessing)
    embeddings = [embed(task.network, batch, session.preprocessing) for batch in batches]
    task.imprint(torch.from_numpy(np.concatenate(embeddings)))


def _trained(session: TrainingSession, recipe: GalleryRecipe, task: _Task) -> TrainingReport:
    """Trains the network in an opened session, and writes it."""
    preprocessing = session.preprocessing
    held_out = session.dataset.retrieval("validation")

    def homogeneous() -> dict[str, Any]:
        queries = embed(task.network, held_out.queries.pixels(preprocessing), preprocessing)
        gallery = embed(task.network, held_out.gallery.pixels(preprocessing), preprocessing)
        identities = held_out.queries.identities, held_out.gallery.identities
        return protocol(
            "gg", queries, identities[0], gallery, identities[1], cameras=held_out.cameras
        )

    def watch(epoch: int) -> str:
        row = homogeneous()
        return f"hold-out M(g,g) top-1 {row['top1']} top-10 {row['top10']}"

    watched = len(held_out.queries) + len(held_out.gallery)
    records = session.fit(task, name="gallery model", watch=watch, watched=watched)
    with session.ending():
        hold_constant(task.network)
        row = homogeneous()
        manifest = session.manifest(
            metrics={"holdout_gg": row},
            network={
                "name": recipe.network,
                "embedding_dim": recipe.embedding_dim,
                "input_size": recipe.input_size,
            },
        )
        classifier = F.normalize(task.head.weight.detach(), dim=1)
        bundle = GalleryBundle(network=task.network, classifier=classifier, manifest=manifest)
        return session.finish(bundle, rows=[row], records=records)


def _starting_model(recipe: GalleryRecipe, folder: str | Path) -> GalleryBundle:
    """The gallery model in `folder`, which must be of the recipe's network."""
    bundle = GalleryBundle.load(folder)
    found = (bundle.network.name, bundle.network.embedding_dim)
    if found != (recipe.network, recipe.embedding_dim):
        raise UserError(
            f"{folder} contains a {found[0]} with {found[1]} embedding values, but the recipe "
            f"trains a {recipe.network} with {recipe.embedding_dim}.",
            "Name a gallery model of the recipe's network with --start, or omit --start.",
        )
    return bundle
