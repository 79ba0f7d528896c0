"""Trains a query network of any form against a gallery."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.data import Dataset
from edgecmp.evaluation.holdout import HoldOut
from edgecmp.gallery.source import Gallery, GallerySource, open_source
from edgecmp.networks.constant_channels import hold_constant
from edgecmp.networks.form import Form, load_form
from edgecmp.progress import say
from edgecmp.training.augment import Augmentation
from edgecmp.training.compatible import CompatibleLoss
from edgecmp.training.fields import Count, Side, Whole, document_of
from edgecmp.training.gain import spread
from edgecmp.training.methods import Method
from edgecmp.training.more_images import NO_MORE, MoreImages
from edgecmp.training.report import TrainingReport
from edgecmp.training.schedule import Schedule
from edgecmp.training.session import TrainingSession
from edgecmp.training.shown import Shown
from edgecmp.training.start_weights import Start, start_settings
from edgecmp.training.starts import NONE, query_start
from edgecmp.training.targets import compatible_loss

__all__ = ["QueryRecipe", "QueryTask", "train_query"]


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryRecipe:
    """All settings of a query network except its architecture, images, gallery and seed.

    Attributes:
        input_size: height and width of the images, in pixels.
        schedule: of the optimisation.
        methods: that make it compatible with its gallery; their losses are added.
        augmentation: of the training images.
        views: of each image, where a method runs the gallery model on augmented images. 0: every
            step draws new ones, for gallery models that cost little. K: there are K views of each
            image, the first of which is the image as it is; epoch e shows view e mod K, the gallery
            model embeds each view once, and images are not blended.
        watch_every: epochs between evaluations on the hold-out.
        adapter: whether the hold-out chooses an adapter of the gallery model's embeddings, by which
            the network queries the gallery's index; see `edgecmp.training.adapter`. It needs a
            start, which then gets a new head that is fitted to its queries. A start that was
            trained for the same gallery passes on its own adapter, if it has one.
        gain: whether the trained embeddings are spread by a gain that the hold-out chooses; see
            `edgecmp.training.gain`.
        half: store the weights in float16.
    """

    input_size: Side
    schedule: Schedule
    methods: tuple[Method, ...]
    augmentation: Augmentation = field(default_factory=Augmentation)
    views: Whole = 0
    watch_every: Count = 10
    adapter: bool = False
    gain: bool = False
    half: bool = False


class QueryTask:
    """The compatible loss of one network."""

    def __init__(self, network: nn.Module, criterion: CompatibleLoss) -> None:
        self.network, self.criterion = network, criterion
        self.module = nn.ModuleDict({"network": network, "criterion": criterion})

    def prepared(self, shown: Shown, progress: float, generator: torch.Generator) -> Shown:
        """See `Task.prepared`."""
        return self.criterion.prepared(shown, generator)

    def loss(self, prepared: Shown) -> Tensor:
        """See `Task.loss`."""
        loss: Tensor = self.criterion(self.network(prepared.images), prepared)
        return loss


def train_query(
    recipe: QueryRecipe,
    *,
    architecture: str | Path | Form,
    out: str | Path,
    gallery: Gallery = None,
    supernet: str | Path | None = NONE,
    start: str | Path | Start | None = None,
    data: str | Dataset = "emoji",
    more: MoreImages = NO_MORE,
    seed: int = 0,
) -> TrainingReport:
    """Trains a query network against a gallery and writes its bundle to `out`.

    An interrupted training resumes from the checkpoint in `out`, and a finished one is not
    repeated: with the same settings, training images and gallery.

    Args:
        recipe: the settings.
        architecture: path of an architecture.json, whose input size is used; or the name of a
            baseline or a `Form`, for which the recipe's input size is used. The number of embedding
            values is always the gallery's.
        out: folder for the bundle and the checkpoint.
        gallery: a gallery, as for `open_source`; None: the starter kit's.
        supernet: a supernet whose weights initialise the network, as `query_start` takes it; by
            default random initial weights.
        start: folder of a query network of this architecture, whose weights initialise it instead,
            or a start that is open already.
        data: name or path of the data, or the data, opened.
        more: images without labels that are trained on too; none by default.
        seed: of all random numbers.

    Raises:
        UserError: the gallery does not provide what a method needs, `supernet` has a wider tier,
            `start` has another architecture, both are given, the training diverges, or `out`
            contains another training.
    """
    source = open_source(gallery)
    input_size, path = recipe.input_size, None
    if isinstance(architecture, str | Path):
        given, architecture = Path(architecture), load_form(architecture)
        if given.exists():
            path, input_size = given, architecture.input_size  # chosen by the search
    form = architecture.resized(input_size, source.embedding_dim)
    with TrainingSession.begin(
        recipe, kind="query", data=data, input_size=input_size, out=out, seed=seed, more=more
    ) as session:
        first = query_start(form, path=path, supernet=supernet, start=start)
        if first is not None:
            session.starts_from(first.bundle)
        settings = {
            **document_of(recipe),
            "architecture": form.to_dict(),
            **start_settings(first, source, form.label),
        }
        if (finished := session.open(settings, gallery=source)) is not None:
            return finished
        if form.embedding_dim != architecture.embedding_dim:
            say(
                f"The network has {form.embedding_dim:,} embedding values, like {source.name}, "
                f"instead of {architecture.embedding_dim:,}."
            )
        network = form.build()
        for method in recipe.methods:
            method.check(network)
        return _trained(session, recipe, network, source, first)


def _trained(
    session: TrainingSession,
    recipe: QueryRecipe,
    network: nn.Module,
    source: GallerySource,
    first: Start | None,
) -> TrainingReport:
    """Initialises and trains the network in an opened session, and writes it."""
    dataset, preprocessing = session.dataset, session.preprocessing
    criterion = compatible_loss(
        recipe,
        source,
        images=session.images,
        dataset=dataset,
        preprocessing=preprocessing,
        start=first,
        network=network,
        seed=session.seed,
    )
    supervision = criterion.supervision
    holdout = HoldOut(dataset, source, preprocessing)
    if first is not None and not session.resumed:
        first.fill(network, supervision, session.seed)

    def evaluate() -> dict[str, float]:
        scores = holdout.evaluate(network, calibrate=False)
        return {name: round(100 * score, 2) for name, score in scores.items()}

    def watch(epoch: int) -> str:
        row = evaluate()
        return (
            f"hold-out M(q,q) top-1 {row['qq_top1']:.1f} top-10 {row['qq_top10']:.1f}, "
            f"M(q,g) top-1 {row['qg_top1']:.1f} top-10 {row['qg_top10']:.1f}"
        )

    records = session.fit(
        QueryTask(network, criterion),
        name="query network",
        watch=watch,
        watched=len(holdout.images),
        criterion=criterion,
    )
    with session.ending():
        hold_constant(network)
        for method in recipe.methods:
            if method.post_hoc:
                method.finish(network, supervision)
        if recipe.gain and (gain := spread(network, holdout)) is not None:
            say(
                f"The embeddings are spread by a gain of {gain.value:g}: the mean reciprocal rank "
                f"of M(q,g) on the hold-out rises from {gain.before:.3f} to {gain.after:.3f}."
            )
        row = {"protocol_name": session.protocol_name, **evaluate()}
        manifest = session.manifest(metrics={"holdout": row, **supervision.facts})
        bundle = QueryBundle(network=network, manifest=manifest, seen=session.seen)
        return session.finish(bundle, rows=[row], records=records)
