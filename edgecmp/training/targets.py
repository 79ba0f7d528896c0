"""The losses of a compatible training, with the targets that the hold-out chooses for it."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from edgecmp.data import Dataset, ImageSet
from edgecmp.gallery.source import GallerySource, Need
from edgecmp.networks.adapt import pooled_features
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import say
from edgecmp.training.adapter import Adapter, adapter_sentence, made_adapter
from edgecmp.training.adapter_choice import Learner, chosen_adapter
from edgecmp.training.compatible import CompatibleLoss, require_usable
from edgecmp.training.head_sample import TrainingSample
from edgecmp.training.methods import Method
from edgecmp.training.start_weights import Start
from edgecmp.training.supervision import Supervision

__all__ = ["compatible_loss"]

AT_ONCE = 256
"""Images of the hold-out that the network embeds at a time."""


class _Recipe(Protocol):
    """The fields of a recipe that decide what a network learns."""

    @property
    def methods(self) -> tuple[Method, ...]: ...

    @property
    def views(self) -> int: ...

    @property
    def adapter(self) -> bool: ...


def compatible_loss(
    recipe: _Recipe,
    source: GallerySource,
    *,
    images: ImageSet,
    dataset: Dataset,
    preprocessing: Preprocessing,
    start: Start | None,
    network: nn.Module,
    seed: int,
) -> CompatibleLoss:
    """The losses of a training, with an adapter if the recipe wants one and one is of use.

    Args:
        recipe: of the training.
        source: the gallery.
        images: that are trained on.
        dataset: whose hold-out chooses the adapter.
        preprocessing: of the trained network.
        start: of the training. Without one there is no adapter, since nothing says what the network
            can learn; one that was trained for this gallery passes on its own.
        network: that is trained.
        seed: of the sample of images by which the network is asked.

    Raises:
        UserError: see `CompatibleLoss`; nothing is embedded before.
    """
    supervision = Supervision(source, images, preprocessing)
    require_usable(recipe.methods, supervision)
    if recipe.adapter and start is not None and Need.EMBEDDINGS in source.provides(images):
        adapter = _adapter(supervision, dataset, start, network, seed)
        if adapter is not None:
            say(adapter_sentence(adapter.to_dict()))
        supervision = supervision.with_adapter(adapter)
    return CompatibleLoss(recipe.methods, supervision, views=recipe.views)


def _adapter(
    supervision: Supervision, dataset: Dataset, start: Start, network: nn.Module, seed: int
) -> Adapter | None:
    """The start's own adapter, or the one that the hold-out chooses for it."""
    source = supervision.source
    if start.bundle.gallery_sha256 == source.sha256:
        facts = start.bundle.manifest.metrics.get("adapter")
        if facts is None:
            return None
        return made_adapter((supervision.embeddings, supervision.train.identities), facts)
    with torch.random.fork_rng():
        body = start.body(network)
        if body is None:
            return None
        sample = TrainingSample.draw(supervision, seed)
        features = pooled_features(body, sample.batches)
    prepare = supervision.preprocessing

    @torch.no_grad()
    def embed(images: ImageSet) -> Tensor:
        batches = images.batches(prepare, at_once=AT_ONCE)
        return torch.cat([body.features(prepare.normalise(pixels)) for pixels in batches])

    return chosen_adapter(
        (supervision.embeddings, supervision.train.identities),
        dataset=dataset,
        source=source,
        learner=Learner(chosen=sample.chosen, features=features, embed=embed),
    )
