"""Trains a supernet with sampled paths and a compatible loss."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor, nn

from edgecmp.artefacts.bundle import QueryBundle, SupernetBundle
from edgecmp.errors import UserError
from edgecmp.evaluation.holdout import HoldOut
from edgecmp.gallery.source import Gallery, GallerySource, open_source
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.grow import grow, seed_architecture
from edgecmp.networks.query import QueryNet
from edgecmp.networks.supernet import Supernet
from edgecmp.training.augment import Augmentation
from edgecmp.training.compatible import CompatibleLoss
from edgecmp.training.fit import Schedule, document_of
from edgecmp.training.methods import Method
from edgecmp.training.paths import Phase, Sampling, sample_paths
from edgecmp.training.query import QueryRecipe, train_query
from edgecmp.training.report import TrainingReport
from edgecmp.training.session import TrainingSession
from edgecmp.training.supervision import Supervision

__all__ = ["SupernetRecipe", "train_supernet"]

CHANCE_FACTOR = 3.0
"""A supernet is refused if its random subnets score below this multiple of chance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SupernetRecipe:
    """All settings of a supernet except the images, the gallery and the seed.

    Attributes:
        tier: "330M", "230M" or "100M".
        input_size: height and width of the images, in pixels.
        schedule: of the optimisation.
        phases: the paths that are sampled in each phase of the training (see `Phase`).
        methods: that make all paths compatible with the gallery; their losses are added.
        seed_schedule: of the network that the supernet grows from; None: the supernet is trained
            from random initial weights, as in the paper.
        sampling: how the paths of a step are sampled (see `Sampling`).
        augmentation: of the training images.
        watch_every: epochs between evaluations of random subnets.
        watched: number of random subnets in an evaluation.
        metric: of the rewards of searches in the supernet (supplement A.3).
        half: store the weights in float16.
    """

    tier: str
    input_size: int
    schedule: Schedule
    phases: tuple[Phase, ...]
    methods: tuple[Method, ...]
    seed_schedule: Schedule | None = None
    sampling: Sampling = "uniform"
    augmentation: Augmentation = field(default_factory=Augmentation)
    watch_every: int = 5
    watched: int = 5
    metric: str = "top1"
    half: bool = False


class _Task:
    """The mean loss of the sampled paths, each on its part of the batch."""

    def __init__(
        self,
        recipe: SupernetRecipe,
        network: Supernet,
        criterion: CompatibleLoss,
        start: SupernetBundle | None,
    ) -> None:
        self.recipe, self.network, self.criterion = recipe, network, criterion
        self.module = nn.ModuleDict({"network": network, "criterion": criterion})
        self.settings: dict[str, Any] = {
            **document_of(recipe),
            "start_sha256": start.sha256 if start else None,
        }

    def loss(
        self, images: Tensor, indices: Tensor, progress: float, generator: torch.Generator
    ) -> Tensor:
        recipe = self.recipe
        paths = sample_paths(recipe.phases, progress, recipe.sampling, generator)
        parts = [
            self.criterion(self.network(part, path), rows, part)
            for part, rows, path in zip(
                (self.criterion.mix(part, generator) for part in images.chunk(len(paths))),
                indices.chunk(len(paths)),
                paths,
                strict=True,
            )
        ]
        return torch.stack(parts).mean()


def random_subnets(network: Supernet, holdout: HoldOut, count: int, *, seed: int) -> dict[str, Any]:
    """Mean results of recalibrated random subnets on the hold-out.

    Args:
        network: the supernet.
        holdout: the hold-out.
        count: number of subnets.
        seed: of the subnets.

    Returns:
        Percent by name: "qq_top1", "qq_top10", "qg_top1", "qg_top10".
    """
    subnets = holdout.subnets(network, cache_bytes=0)
    scores = []
    for index in range(count):
        architecture = Architecture.random(
            network.tier,
            seed=seed + index,
            embedding_dim=network.embedding_dim,
            input_size=network.input_size,
        )
        scores.append(holdout.score(subnets.embed(architecture)))
    names = [name for name in scores[0] if name.endswith(("top1", "top10"))]
    return {name: round(100 * mean(score[name] for score in scores), 2) for name in names}


def _seed_network(
    recipe: SupernetRecipe, gallery: GallerySource, folder: Path, data: str, seed: int
) -> QueryNet:
    """The network that the supernet grows from: trained, or reused from `folder`."""
    assert recipe.seed_schedule is not None
    query_recipe = QueryRecipe(
        input_size=recipe.input_size,
        schedule=recipe.seed_schedule,
        methods=recipe.methods,
        augmentation=recipe.augmentation,
        watch_every=recipe.watch_every,
    )
    if (folder / "manifest.json").exists():
        bundle = QueryBundle.load(folder)
        same_recipe = bundle.manifest.recipe == {
            **document_of(query_recipe),
            "start_sha256": None,
            "seed": seed,
        }
        if same_recipe and bundle.manifest.gallery_sha256 == gallery.sha256:
            return _query_net(bundle)
    architecture = seed_architecture(
        recipe.tier, embedding_dim=gallery.embedding_dim, input_size=recipe.input_size
    )
    train_query(
        query_recipe,
        architecture=architecture,
        out=folder,
        gallery=gallery,
        data=data,
        seed=seed,
    )
    return _query_net(QueryBundle.load(folder))


def _query_net(bundle: QueryBundle) -> QueryNet:
    assert isinstance(bundle.network, QueryNet)
    return bundle.network


def train_supernet(
    recipe: SupernetRecipe,
    *,
    out: str | Path,
    gallery: Gallery = None,
    start: str | Path | None = None,
    data: str = "emoji",
    seed: int = 0,
) -> TrainingReport:
    """Trains a supernet against a gallery and writes its bundle to `out`.

    An interrupted run with the same settings resumes from the checkpoint in `out`.

    Args:
        recipe: the settings.
        out: folder for the bundle and the checkpoint.
        gallery: a gallery, as for `open_source`; None: the starter kit's.
        start: folder of a supernet of the same tier, embedding and input size, whose weights
            initialise it, such as one for an earlier gallery model; None: as the recipe says.
        data: name or path of the data.
        seed: of all random numbers.

    Raises:
        UserError: `start` contains another supernet, a method cannot train supernets or lacks
            something from the gallery, `out` contains an unfinished run with other settings, or
            random subnets are at chance after the training: since rewards would then be noise, no
            supernet is written.
    """
    for method in recipe.methods:
        if method.post_hoc:
            raise UserError(
                f"{method.name} changes a network after its training, which is impossible for the "
                "subnets of a supernet.",
                f"Train the supernet with another method, and the query network with --method "
                f"{method.name}.",
            )
    source = open_source(gallery)
    session = TrainingSession.begin(
        recipe, data=data, input_size=recipe.input_size, out=out, seed=seed
    )
    dataset, preprocessing = session.dataset, session.preprocessing
    network = Supernet(
        recipe.tier,
        embedding_dim=source.embedding_dim,
        input_size=recipe.input_size,
    )
    supervision = Supervision(source, dataset.train, preprocessing)
    criterion = CompatibleLoss(recipe.methods, supervision)
    holdout = HoldOut(dataset, source, preprocessing)
    first = None
    if start is not None:
        first = _starting_supernet(network, start)
        network.load_state_dict(first.network.state_dict())
    elif recipe.seed_schedule is not None:
        seed_network = _seed_network(recipe, source, session.out / "seed", data, seed)
        grow(network, seed_network, holdout.batches[0])

    def watch(epoch: int) -> str:
        row = random_subnets(network, holdout, recipe.watched, seed=epoch * 1000)
        return (
            f"{recipe.watched} random subnets: hold-out M(q,q) top-1 {row['qq_top1']:.1f}, "
            f"M(q,g) top-1 {row['qg_top1']:.1f} top-10 {row['qg_top10']:.1f}"
        )

    task = _Task(recipe, network, criterion, first)
    records = session.fit(task, name=f"supernet {recipe.tier}", watch=watch)
    row = random_subnets(network, holdout, max(10, recipe.watched), seed=0)
    chance = 100 * holdout.chance["top1"]
    uses_gallery = any(method.needs for method in recipe.methods)  # otherwise M(q,g) is at chance
    protocol, top1 = ("M(q,g)", row["qg_top1"]) if uses_gallery else ("M(q,q)", row["qq_top1"])
    if top1 < CHANCE_FACTOR * chance:
        raise UserError(
            f"The supernet was not written, since its random subnets are near chance: their "
            f"hold-out {protocol} top-1 is {top1:.1f} %, and chance is {chance:.1f} %.",
            "Use a recipe with more epochs before single blocks and narrow widths are sampled.",
        )
    manifest = session.manifest(
        "supernet",
        settings=task.settings,
        metrics={"holdout_random_subnets": row, "chance_top1": round(chance, 2)},
        network={
            "tier": recipe.tier,
            "embedding_dim": network.embedding_dim,
            "input_size": recipe.input_size,
        },
        gallery_sha256=source.sha256,
    )
    SupernetBundle(network=network, manifest=manifest).save(session.out, half=recipe.half)
    return TrainingReport(rows=[row], records=records, path=session.out, kind="supernet")


def _starting_supernet(network: Supernet, folder: str | Path) -> SupernetBundle:
    """The supernet in `folder`, which must have the tier and sizes of `network`."""
    bundle = SupernetBundle.load(folder)
    found, asked = (
        f"{one.tier} supernet with embeddings of {one.embedding_dim} values at {one.input_size} px"
        for one in (bundle.network, network)
    )
    if found != asked:
        raise UserError(
            f"{folder} contains a {found}, but the recipe trains a {asked}.",
            f"Give --start a {asked}, or omit it.",
        )
    return bundle
