"""Training one query network against a gallery model: the winner of a search, or any other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgecmp.artefacts.bundle import QueryBundle, SupernetBundle
from edgecmp.errors import UserError
from edgecmp.evaluation.holdout import HoldOut
from edgecmp.gallery.source import Gallery, open_source
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.form import Form, load_form
from edgecmp.training.augment import Augmentation
from edgecmp.training.compatible import CompatibleLoss
from edgecmp.training.fit import Schedule, document_of
from edgecmp.training.methods import Method
from edgecmp.training.report import TrainingReport
from edgecmp.training.session import TrainingSession
from edgecmp.training.supervision import Supervision

__all__ = ["QueryRecipe", "train_query"]


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryRecipe:
    """Everything that decides a query network but its architecture, images, gallery and seed.

    Attributes:
        methods: what ties it to its gallery; their losses are added.
        watch_every: epochs between looks at the hold-out.
    """

    input_size: int
    schedule: Schedule
    methods: tuple[Method, ...]
    augmentation: Augmentation = field(default_factory=Augmentation)
    watch_every: int = 10
    half: bool = False


class _Task:
    """The compatible loss of one network."""

    def __init__(
        self,
        recipe: QueryRecipe,
        network: nn.Module,
        architecture: Form,
        criterion: CompatibleLoss,
        started_from: str | None,
    ) -> None:
        self.network, self.criterion = network, criterion
        self.module = nn.ModuleDict({"network": network, "criterion": criterion})
        self.settings: dict[str, Any] = {
            **document_of(recipe),
            "architecture": architecture.to_dict(),
            "start_sha256": started_from,
        }

    def loss(
        self, images: Tensor, indices: Tensor, progress: float, generator: torch.Generator
    ) -> Tensor:
        images = self.criterion.mix(images, generator)
        loss: Tensor = self.criterion(self.network(images), indices, images)
        return loss


def train_query(
    recipe: QueryRecipe,
    *,
    architecture: str | Path | Form,
    out: str | Path,
    gallery: Gallery = None,
    supernet: str | Path | None = None,
    start: str | Path | None = None,
    data: str = "emoji",
    seed: int = 0,
) -> TrainingReport:
    """Trains the network of a form against a gallery model and writes it to `out`.

    Goes on from the checkpoint in `out` when an earlier run with the same settings was killed.

    Args:
        architecture: what the search wrote, which keeps its input size; or the name of a baseline
            or a `Form`, whose input size is set to the recipe's.
        gallery: as `open_source` takes it; the kit's by default.
        supernet: folder of a supernet whose weights it starts from; from scratch by default.
        start: folder of a query network of this architecture that it goes on from instead.

    Raises:
        UserError: embeddings of another length than the gallery's, a gallery that lacks what the
            method needs, another architecture in `start`, or both a supernet and a query network
            to start from.
    """
    source = open_source(gallery)
    input_size = recipe.input_size
    if isinstance(architecture, str | Path):
        path, architecture = Path(architecture), load_form(architecture)
        if path.exists():
            input_size = architecture.input_size  # what the search chose
    if architecture.embedding_dim != source.embedding_dim:
        raise UserError(
            f"The architecture gives embeddings of {architecture.embedding_dim} values, the "
            f"gallery {source.name} has {source.embedding_dim}.",
            "Set embedding_dim in the architecture file to that of the gallery.",
        )
    architecture = architecture.resized(input_size)
    session = TrainingSession.begin(recipe, data=data, input_size=input_size, out=out, seed=seed)
    dataset, preprocessing = session.dataset, session.preprocessing
    network, started_from = _first_network(architecture, supernet, start)
    for method in recipe.methods:
        method.check(network)
    supervision = Supervision(source, dataset.train, preprocessing)
    criterion = CompatibleLoss(recipe.methods, supervision)
    holdout = HoldOut(dataset, source, preprocessing)

    def judge() -> dict[str, float]:
        scores = holdout.judge(network, calibrate=False)
        return {name: round(100 * score, 2) for name, score in scores.items()}

    def watch(epoch: int) -> str:
        row = judge()
        return (
            f"hold-out M(q,q) top-1 {row['qq_top1']:.1f} top-10 {row['qq_top10']:.1f}, "
            f"M(q,g) top-1 {row['qg_top1']:.1f} top-10 {row['qg_top10']:.1f}"
        )

    task = _Task(recipe, network, architecture, criterion, started_from)
    records = session.fit(task, name="query network", watch=watch)
    for method in recipe.methods:
        if method.post_hoc:
            method.finish(network, supervision)
    row = judge()
    manifest = session.manifest(
        "query",
        settings={**document_of(recipe), "start_sha256": started_from},
        metrics={"holdout": row},
        gallery_sha256=source.sha256,
    )
    QueryBundle(network=network, manifest=manifest).save(session.out, half=recipe.half)
    return TrainingReport(rows=[row], records=records, path=session.out, kind="query")


def _first_network(
    architecture: Form, supernet: str | Path | None, start: str | Path | None
) -> tuple[nn.Module, str | None]:
    """The network before training, and the hash of the model that its weights come from."""
    if supernet is not None and start is not None:
        raise UserError(
            "A query network starts from a supernet or from another query network, not from both.",
            "Leave --supernet or --start out.",
        )
    if supernet is not None:
        if not isinstance(architecture, Architecture):
            raise UserError(f"No supernet holds a {architecture.label}.", "Leave --supernet out.")
        source = SupernetBundle.load(supernet)
        return source.network.extract(architecture), source.sha256
    if start is None:
        return architecture.build(), None
    bundle = QueryBundle.load(start)
    if bundle.architecture != architecture:
        raise UserError(
            f"{start} holds a network of another architecture.",
            f"Name {Path(start) / 'architecture.json'} as --architecture, or leave --start out.",
        )
    return bundle.network, bundle.sha256
