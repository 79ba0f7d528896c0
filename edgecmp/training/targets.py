"""The losses of a compatible training, with the targets that the hold-out chooses for it."""

from __future__ import annotations

from typing import Protocol

from edgecmp.data import Dataset, ImageSet
from edgecmp.gallery.source import GallerySource, Need
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import say
from edgecmp.training.adapter import adapter_sentence, fitted_adapter
from edgecmp.training.compatible import CompatibleLoss, require_usable
from edgecmp.training.methods import Method
from edgecmp.training.supervision import Supervision

__all__ = ["compatible_loss"]


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
) -> CompatibleLoss:
    """The losses of a training, with an adapter if the recipe wants one and one is of use.

    Args:
        recipe: of the training.
        source: the gallery.
        images: that are trained on.
        dataset: whose hold-out chooses the adapter.
        preprocessing: of the trained network.

    Raises:
        UserError: see `CompatibleLoss`; nothing is embedded before.
    """
    supervision = Supervision(source, images, preprocessing)
    require_usable(recipe.methods, supervision)
    if recipe.adapter and Need.EMBEDDINGS in source.provides(images):
        adapter = fitted_adapter(
            supervision.embeddings, supervision.labels, dataset=dataset, source=source
        )
        if adapter is not None:
            say(adapter_sentence(adapter.to_dict()))
        supervision = supervision.with_adapter(adapter)
    return CompatibleLoss(recipe.methods, supervision, views=recipe.views)
