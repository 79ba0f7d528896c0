"""Trains a supernet with sampled paths and a compatible loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor, nn

from edgecmp.artefacts.bundle import QueryBundle, SupernetBundle
from edgecmp.data import Dataset
from edgecmp.errors import NotLearnedError, UserError
from edgecmp.evaluation.holdout import HoldOut
from edgecmp.gallery.source import Gallery, GallerySource, open_source
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.grow import grow, seed_architecture
from edgecmp.networks.query import QueryNet
from edgecmp.networks.supernet import Supernet
from edgecmp.progress import say
from edgecmp.training.augment import Augmentation
from edgecmp.training.compatible import CompatibleLoss
from edgecmp.training.fields import Count, Side, TierName, Whole, document_of
from edgecmp.training.methods import Method
from edgecmp.training.more_images import NO_MORE, MoreImages
from edgecmp.training.paths import Phase, SampledPath, Sampling, sample_paths
from edgecmp.training.query import QueryRecipe, train_query
from edgecmp.training.report import TrainingReport
from edgecmp.training.schedule import Schedule
from edgecmp.training.session import TrainingSession
from edgecmp.training.shown import Shown
from edgecmp.training.start_weights import Start, start_settings
from edgecmp.training.starts import NONE, supernet_start
from edgecmp.training.targets import compatible_loss

__all__ = ["SupernetRecipe", "train_supernet"]

CHANCE_FACTOR = 3.0
"""A supernet is refused if its random subnets score below this multiple of chance."""

LARGEST_CHANCE = 5.0
"""In percent: beyond it, with fewer than 20 gallery images, a hold-out is too small to tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SupernetRecipe:
    """All settings of a supernet except the images, the gallery and the seed.

    Attributes:
        tier: "330M", "230M" or "100M".
        input_size: height and width of the images, in pixels.
        schedule: of the optimisation.
        phases: the paths that are sampled in each phase of the training (see `Phase`).
        methods: that make all paths compatible with the gallery; their losses are added.
        seed_schedule: of the network that a supernet without a start grows from; None: such a
            supernet is trained from random initial weights, as in the paper.
        sampling: how the paths of a step are sampled (see `Sampling`).
        augmentation: of the training images.
        views: of each image, where a method runs the gallery model on augmented images. 0: every
            step draws new ones, for gallery models that cost little. K: there are K views of each
            image, the first of which is the image as it is; epoch e shows view e mod K, the gallery
            model embeds each view once, and images are not blended.
        watch_every: epochs between evaluations of random subnets.
        watched: number of random subnets in an evaluation.
        adapter: whether the hold-out chooses an adapter, see `QueryRecipe`.
        metric: of the rewards of searches in the supernet (supplement A.3).
        half: store the weights in float16.
    """

    tier: TierName
    input_size: Side
    schedule: Schedule
    phases: tuple[Phase, ...]
    methods: tuple[Method, ...]
    seed_schedule: Schedule | None = None
    sampling: Sampling = "uniform"
    augmentation: Augmentation = field(default_factory=Augmentation)
    views: Whole = 0
    watch_every: Count = 5
    watched: Count = 5
    adapter: bool = False
    metric: str = "top1"
    half: bool = False


class _Task:
    """The mean loss of the sampled paths, each on its part of the batch."""

    def __init__(
        self, recipe: SupernetRecipe, network: Supernet, criterion: CompatibleLoss
    ) -> None:
        self.recipe, self.network, self.criterion = recipe, network, criterion
        self.module = nn.ModuleDict({"network": network, "criterion": criterion})

    def prepared(
        self, shown: Shown, progress: float, generator: torch.Generator
    ) -> list[tuple[SampledPath, Shown]]:
        """The sampled paths, each with its part of the batch."""
        recipe = self.recipe
        paths = sample_paths(recipe.phases, progress, recipe.sampling, generator)
        parts = [self.criterion.prepared(part, generator) for part in shown.chunks(len(paths))]
        return list(zip(paths, parts, strict=True))

    def loss(self, prepared: list[tuple[SampledPath, Shown]]) -> Tensor:
        losses = [self.criterion(self.network(part.images, path), part) for path, part in prepared]
        return torch.stack(losses).mean()


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
    recipe: SupernetRecipe, gallery: GallerySource, session: TrainingSession
) -> QueryNet:
    """The network that the supernet grows from: trained, or the same training's from "seed"."""
    assert recipe.seed_schedule is not None
    query_recipe = QueryRecipe(
        input_size=recipe.input_size,
        schedule=recipe.seed_schedule,
        methods=recipe.methods,
        augmentation=recipe.augmentation,
        views=recipe.views,
        watch_every=recipe.watch_every,
    )
    architecture = seed_architecture(
        recipe.tier, embedding_dim=gallery.embedding_dim, input_size=recipe.input_size
    )
    folder = session.out / "seed"
    first, then = recipe.seed_schedule.epochs, recipe.schedule.epochs
    say(f"{first} epochs of a network of full width; then the supernet grows from it in {then}.")
    train_query(
        query_recipe,
        architecture=architecture,
        out=folder,
        gallery=gallery,
        data=session.dataset,
        more=session.more,
        seed=session.seed,
    )
    network = QueryBundle.load(folder).network
    assert isinstance(network, QueryNet)  # as `seed_architecture` is an `Architecture`
    return network


def train_supernet(
    recipe: SupernetRecipe,
    *,
    out: str | Path,
    gallery: Gallery = None,
    start: str | Path | Start | None = NONE,
    data: str | Dataset = "emoji",
    more: MoreImages = NO_MORE,
    seed: int = 0,
) -> TrainingReport:
    """Trains a supernet against a gallery and writes its bundle to `out`.

    An interrupted training resumes from the checkpoint in `out`, and a finished one is not
    repeated: with the same settings, training images and gallery.

    Args:
        recipe: the settings.
        out: folder for the bundle and the checkpoint.
        gallery: a gallery, as for `open_source`; None: the starter kit's.
        start: a supernet whose weights initialise it, as `supernet_start` takes it; no seed network
            is then trained. By default random initial weights.
        data: name or path of the data, or the data, opened.
        more: images without labels that are trained on too; none by default.
        seed: of all random numbers.

    Raises:
        UserError: `start` contains a supernet of a wider tier, a method cannot train supernets or
            lacks something from the gallery, `out` contains another training, the training
            diverges, or random subnets are at chance after it: since rewards would then be noise,
            no supernet is written.
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
    with TrainingSession.begin(
        recipe,
        kind="supernet",
        data=data,
        input_size=recipe.input_size,
        out=out,
        seed=seed,
        more=more,
    ) as session:
        network = Supernet(
            recipe.tier, embedding_dim=source.embedding_dim, input_size=recipe.input_size
        )
        first = supernet_start(start, tier=recipe.tier)
        if first is not None:
            session.starts_from(first.bundle)
        settings = {**document_of(recipe), **start_settings(first, source, recipe.tier)}
        if (finished := session.open(settings, gallery=source)) is not None:
            return finished
        criterion = compatible_loss(
            recipe,
            source,
            images=session.images,
            dataset=session.dataset,
            preprocessing=session.preprocessing,
            start=first,
            network=network,
            seed=seed,
        )
        holdout = HoldOut(session.dataset, source, session.preprocessing)
        if first is not None and not session.resumed:
            first.fill(network, criterion.supervision, seed)
        elif recipe.seed_schedule is not None and not session.resumed:
            seed_network = _seed_network(recipe, source, session)
            grow(network, seed_network, holdout.batches[0])
        return _trained(session, recipe, _Task(recipe, network, criterion), holdout)


def _trained(
    session: TrainingSession, recipe: SupernetRecipe, task: _Task, holdout: HoldOut
) -> TrainingReport:
    """Trains the supernet in an opened session, and writes it unless it has not learned."""
    network = task.network

    def watch(epoch: int) -> str:
        row = random_subnets(network, holdout, recipe.watched, seed=epoch * 1000)
        return (
            f"{recipe.watched} random subnets: hold-out M(q,q) top-1 {row['qq_top1']:.1f}, "
            f"M(q,g) top-1 {row['qg_top1']:.1f} top-10 {row['qg_top10']:.1f}"
        )

    per_subnet = len(holdout.images) + sum(map(len, holdout.batches))
    records = session.fit(
        task,
        name=f"supernet {recipe.tier}",
        watch=watch,
        watched=recipe.watched * per_subnet,
        criterion=task.criterion,
    )
    with session.ending():
        row = {
            "protocol_name": session.protocol_name,
            **_final_row(recipe, network, holdout),
        }
        chance = 100 * holdout.chance["top1"]
        _require_learned(recipe, row, chance)
        manifest = session.manifest(
            metrics={
                "holdout_random_subnets": row,
                "chance_top1": round(chance, 2),
                **task.criterion.supervision.facts,
            },
            network={
                "tier": recipe.tier,
                "embedding_dim": network.embedding_dim,
                "input_size": recipe.input_size,
            },
        )
        bundle = SupernetBundle(network=network, manifest=manifest, seen=session.seen)
        return session.finish(bundle, rows=[row], records=records)


def _final_row(recipe: SupernetRecipe, network: Supernet, holdout: HoldOut) -> dict[str, Any]:
    """The results of random subnets of the trained supernet."""
    try:
        return random_subnets(network, holdout, max(10, recipe.watched), seed=0)
    except UserError as error:  # embeddings that are not finite
        raise NotLearnedError(
            f"The supernet was not written, since a random subnet cannot be evaluated: "
            f"{error.what}",
            "Use a lower learning rate (--lr), and another folder.",
        ) from error


def _require_learned(recipe: SupernetRecipe, row: Mapping[str, float], chance: float) -> None:
    """Refuses a supernet whose random subnets are near chance, if the hold-out can tell.

    Args:
        recipe: of the supernet.
        row: results of random subnets on the hold-out, in percent.
        chance: expected top-1 of a random ranking, in percent.
    """
    uses_gallery = any(method.needs for method in recipe.methods)  # otherwise M(q,g) is at chance
    protocol, top1 = ("M(q,g)", row["qg_top1"]) if uses_gallery else ("M(q,q)", row["qq_top1"])
    if chance > LARGEST_CHANCE:
        say(
            f"Chance is {chance:.0f} % on this hold-out, which has too few gallery images to tell "
            "whether the supernet has learned."
        )
        return
    if top1 < CHANCE_FACTOR * chance:
        raise NotLearnedError(
            f"The supernet was not written, since its random subnets are near chance: their "
            f"hold-out {protocol} top-1 is {top1:.1f} %, and chance is {chance:.1f} %.",
            "Use a recipe with more epochs before single blocks and narrow widths are sampled, and "
            "another folder.",
        )
