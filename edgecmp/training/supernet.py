"""Training a supernet with single-path sampling and a compatible loss, watched as it goes."""

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
"""A supernet whose random subnets score below this multiple of chance has not learned."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SupernetRecipe:
    """Everything that decides a supernet but the images, the gallery model and the seed.

    Attributes:
        seed_schedule: how the network that the supernet grows from is trained; None starts the
            supernet from scratch, as the paper does.
        methods: what ties every path to the gallery; their losses are added.
        phases: which paths are sampled when (see `Phase`).
        sampling: how many paths a step takes (see `Sampling`).
        watch_every: epochs between looks at random subnets.
        watched: how many random subnets a look takes.
        metric: what the rewards of searches in it are made of (supplement A.3).
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
    """The sampled paths of a step, each on its share of the batch."""

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
    """Mean hold-out scores of `count` random subnets after recalibration, in percent."""
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
    """The trained network that the supernet grows from; one that stands in `folder` is taken."""
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
    """Trains a supernet against a gallery model (the kit's by default), writes it to `out`.

    Goes on from the checkpoint in `out` when an earlier run with the same settings was killed.

    Args:
        gallery: as `open_source` takes it; the kit's by default.
        start: folder of a supernet of the same form whose weights it starts from, such as one that
            was made for an earlier gallery model; by default what the recipe says.

    Raises:
        UserError: `start` holds a supernet of another form; or random subnets are at chance at the
            end: every reward would be noise, so no supernet is written.
    """
    for method in recipe.methods:
        if method.post_hoc:
            raise UserError(
                f"{method.name} changes one finished network, and a supernet holds many.",
                "Train the supernet with another method, and the query network with this one.",
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
    tied = any(method.needs for method in recipe.methods)  # else M(q,g) stays at chance
    found, where = (row["qg_top1"], "the gallery") if tied else (row["qq_top1"], "their own index")
    if found < CHANCE_FACTOR * chance:
        raise UserError(
            f"The supernet has not learned: random subnets find {found:.1f} % of the hold-out "
            f"queries in {where} at top-1, and chance is {chance:.1f} %; it was not written.",
            "Train it longer, with more epochs before single blocks and narrow widths are sampled.",
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
    """The supernet in `folder`, if it has the form of `network`."""
    bundle = SupernetBundle.load(folder)
    found, asked = (
        f"{one.tier} supernet with embeddings of {one.embedding_dim} values at {one.input_size} px"
        for one in (bundle.network, network)
    )
    if found != asked:
        raise UserError(
            f"{folder} holds a {found}, the recipe trains a {asked}.",
            "Name a supernet of that form to start from, or leave --start out.",
        )
    return bundle
