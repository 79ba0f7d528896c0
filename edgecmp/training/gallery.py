"""Training a gallery model with a margin softmax; its classifier is kept for BCT."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecmp.artefacts.bundle import GalleryBundle
from edgecmp.data import quarter_turns
from edgecmp.errors import UserError
from edgecmp.evaluation.retrieval import protocol
from edgecmp.losses import CosFace
from edgecmp.networks.embed import embed
from edgecmp.networks.gallery import build_gallery
from edgecmp.progress import say
from edgecmp.training.augment import Augmentation
from edgecmp.training.fit import Schedule, document_of
from edgecmp.training.report import TrainingReport
from edgecmp.training.session import TrainingSession

__all__ = ["GalleryRecipe", "train_gallery"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GalleryRecipe:
    """Everything that decides a gallery model but the images and the seed.

    Attributes:
        quarter_turns: learn each image in four directions, each an identity of its own (see
            `quarter_turns`); an epoch is then four times as long.
        watch_every: epochs between looks at the hold-out.
    """

    network: str
    input_size: int
    schedule: Schedule
    embedding_dim: int = 128
    scale: float = 24.0
    margin: float = 0.2
    augmentation: Augmentation = field(default_factory=Augmentation)
    quarter_turns: bool = False
    watch_every: int = 5
    half: bool = False


class _Task:
    """CosFace on the embeddings of the gallery network."""

    def __init__(self, recipe: GalleryRecipe, labels: Tensor, start: GalleryBundle | None) -> None:
        self.network = build_gallery(
            recipe.network, embedding_dim=recipe.embedding_dim, input_size=recipe.input_size
        )
        classes = int(labels.max()) + 1
        self.head = CosFace(classes, recipe.embedding_dim, scale=recipe.scale, margin=recipe.margin)
        self.module = nn.ModuleDict({"network": self.network, "head": self.head})
        self.labels = labels
        self.settings = {**document_of(recipe), "start_sha256": start.sha256 if start else None}

    def imprint(self, embeddings: Tensor) -> None:
        """Sets the head to the mean embedding of each class (Qi et al., CVPR 2018).

        Args:
            embeddings: (N, D), one for each label.
        """
        sums = torch.zeros_like(self.head.weight).index_add_(0, self.labels, embeddings)
        with torch.no_grad():
            length = self.head.weight.norm(dim=1).mean()
            self.head.weight.copy_(F.normalize(sums, dim=1) * length)

    def loss(
        self, images: Tensor, indices: Tensor, progress: float, generator: torch.Generator
    ) -> Tensor:
        loss: Tensor = self.head(self.network(images), self.labels[indices])
        return loss


def train_gallery(
    recipe: GalleryRecipe,
    *,
    out: str | Path,
    start: str | Path | None = None,
    data: str = "emoji",
    seed: int = 0,
) -> TrainingReport:
    """Trains a gallery model on the training identities of `data` and writes its bundle to `out`.

    Goes on from the checkpoint in `out` when an earlier run with the same settings was killed.

    Args:
        start: folder of a gallery model of the same network whose weights it starts from; from
            scratch by default.

    Raises:
        UserError: `start` holds another network than the recipe's.
    """
    first = None if start is None else _starting_model(recipe, start)
    session = TrainingSession.begin(
        recipe, data=data, input_size=recipe.input_size, out=out, seed=seed
    )
    dataset, preprocessing = session.dataset, session.preprocessing
    train = quarter_turns(dataset.train) if recipe.quarter_turns else dataset.train
    task = _Task(recipe, torch.from_numpy(train.identities), first)
    if first is not None:
        task.network.load_state_dict(first.network.state_dict())
        say(f"Embedding {len(train)} training images to set the classifier.")
        parts = [embed(task.network, part, preprocessing) for part in train.parts(preprocessing)]
        task.imprint(torch.from_numpy(np.concatenate(parts)))
    held_out = dataset.retrieval("validation")

    def homogeneous() -> dict[str, Any]:
        queries = embed(task.network, held_out.queries.pixels(preprocessing), preprocessing)
        gallery = embed(task.network, held_out.gallery.pixels(preprocessing), preprocessing)
        return protocol(
            "gg", queries, held_out.queries.identities, gallery, held_out.gallery.identities
        )

    def watch(epoch: int) -> str:
        row = homogeneous()
        return f"hold-out M(g,g) top-1 {row['top1']} top-10 {row['top10']}"

    records = session.fit(task, name="gallery model", watch=watch, images=train)
    row = homogeneous()
    manifest = session.manifest(
        "gallery",
        settings=task.settings,
        metrics={"holdout_gg": row},
        network={
            "name": recipe.network,
            "embedding_dim": recipe.embedding_dim,
            "input_size": recipe.input_size,
        },
    )
    classifier = F.normalize(task.head.weight.detach(), dim=1)
    bundle = GalleryBundle(network=task.network, classifier=classifier, manifest=manifest)
    bundle.save(session.out, half=recipe.half)
    return TrainingReport(rows=[row], records=records, path=session.out, kind="gallery")


def _starting_model(recipe: GalleryRecipe, folder: str | Path) -> GalleryBundle:
    """The gallery model in `folder`, if it is one of the recipe's network."""
    bundle = GalleryBundle.load(folder)
    found = (bundle.network.name, bundle.network.embedding_dim)
    if found != (recipe.network, recipe.embedding_dim):
        raise UserError(
            f"{folder} holds a {found[0]} with embeddings of {found[1]} values, the recipe trains "
            f"a {recipe.network} with {recipe.embedding_dim}.",
            "Name a gallery model of the recipe's network to start from, or leave --start out.",
        )
    return bundle
