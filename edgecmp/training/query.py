"""Trains a query network of any form against a gallery."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from edgecmp.artefacts.bundle import QueryBundle, SupernetBundle
from edgecmp.errors import UserError
from edgecmp.evaluation.holdout import HoldOut
from edgecmp.gallery.source import Gallery, GallerySource, open_source
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
    """All settings of a query network except its architecture, images, gallery and seed.

    Attributes:
        input_size: height and width of the images, in pixels.
        schedule: of the optimisation.
        methods: that make it compatible with its gallery; their losses are added.
        augmentation: of the training images.
        watch_every: epochs between evaluations on the hold-out.
        half: store the weights in float16.
    """

    input_size: int
    schedule: Schedule
    methods: tuple[Method, ...]
    augmentation: Augmentation = field(default_factory=Augmentation)
    watch_every: int = 10
    half: bool = False


class _Task:
    """The compatible loss of one network."""

    def __init__(self, network: nn.Module, criterion: CompatibleLoss) -> None:
        self.network, self.criterion = network, criterion
        self.module = nn.ModuleDict({"network": network, "criterion": criterion})

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
    """Trains a query network against a gallery and writes its bundle to `out`.

    An interrupted training resumes from the checkpoint in `out`, and a finished one is not
    repeated: with the same settings, training images and gallery.

    Args:
        recipe: the settings.
        architecture: path of an architecture.json, whose input size is used; or the name of a
            baseline or a `Form`, for which the recipe's input size is used.
        out: folder for the bundle and the checkpoint.
        gallery: a gallery, as for `open_source`; None: the starter kit's.
        supernet: folder of a supernet, whose weights initialise the network; None: random initial
            weights.
        start: folder of a query network of this architecture, whose weights initialise it instead.
        data: name or path of the data.
        seed: of all random numbers.

    Raises:
        UserError: the embedding sizes of architecture and gallery differ, the gallery does not
            provide what a method needs, `start` has another architecture, both `supernet` and
            `start` are given, the training diverges, or `out` contains another training.
    """
    source = open_source(gallery)
    input_size = recipe.input_size
    if isinstance(architecture, str | Path):
        path, architecture = Path(architecture), load_form(architecture)
        if path.exists():
            input_size = architecture.input_size  # chosen by the search
    if architecture.embedding_dim != source.embedding_dim:
        raise UserError(
            f"The architecture has {architecture.embedding_dim} embedding values, but the gallery "
            f"{source.name} has {source.embedding_dim}.",
            f"Set embedding_dim to {source.embedding_dim} in the architecture file.",
        )
    architecture = architecture.resized(input_size)
    with TrainingSession.begin(
        recipe, kind="query", data=data, input_size=input_size, out=out, seed=seed
    ) as session:
        network, started_from = _first_network(architecture, supernet, start)
        settings = {
            **document_of(recipe),
            "architecture": architecture.to_dict(),
            "start_sha256": started_from,
        }
        if (finished := session.open(settings, gallery=source)) is not None:
            return finished
        for method in recipe.methods:
            method.check(network)
        return _trained(session, recipe, network, source)


def _trained(
    session: TrainingSession, recipe: QueryRecipe, network: nn.Module, source: GallerySource
) -> TrainingReport:
    """Trains the network in an opened session, and writes it."""
    dataset, preprocessing = session.dataset, session.preprocessing
    supervision = Supervision(source, dataset.train, preprocessing)
    criterion = CompatibleLoss(recipe.methods, supervision)
    holdout = HoldOut(dataset, source, preprocessing)

    def evaluate() -> dict[str, float]:
        scores = holdout.evaluate(network, calibrate=False)
        return {name: round(100 * score, 2) for name, score in scores.items()}

    def watch(epoch: int) -> str:
        row = evaluate()
        return (
            f"hold-out M(q,q) top-1 {row['qq_top1']:.1f} top-10 {row['qq_top10']:.1f}, "
            f"M(q,g) top-1 {row['qg_top1']:.1f} top-10 {row['qg_top10']:.1f}"
        )

    records = session.fit(_Task(network, criterion), name="query network", watch=watch)
    with session.ending():
        for method in recipe.methods:
            if method.post_hoc:
                method.finish(network, supervision)
        row = evaluate()
        manifest = session.manifest(metrics={"holdout": row})
        bundle = QueryBundle(network=network, manifest=manifest)
        return session.finish(bundle, rows=[row], records=records)


def _first_network(
    architecture: Form, supernet: str | Path | None, start: str | Path | None
) -> tuple[nn.Module, str | None]:
    """The network before training, and the hash of the model that initialised it, if any."""
    if supernet is not None and start is not None:
        raise UserError(
            "A query network starts from a supernet or from another query network, not from both.",
            "Omit --supernet or --start.",
        )
    if supernet is not None:
        if not isinstance(architecture, Architecture):
            raise UserError(
                f"A supernet does not contain a {architecture.label}.", "Omit --supernet."
            )
        source = SupernetBundle.load(supernet)
        return source.network.extract(architecture), source.sha256
    if start is None:
        return architecture.build(), None
    bundle = QueryBundle.load(start)
    if bundle.architecture != architecture:
        raise UserError(
            f"{start} contains a network of another architecture.",
            f"Use --architecture {Path(start) / 'architecture.json'}, or omit --start.",
        )
    return bundle.network, bundle.sha256
