"""CompatibleLoss: the sum of the losses of the methods that train a query network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgecmp.errors import UserError
from edgecmp.gallery.source import Need
from edgecmp.training.methods import METHODS, Batch, Method
from edgecmp.training.shown import Blend, Shown
from edgecmp.training.supervision import Supervision

__all__ = ["CompatibleLoss", "require_usable"]


class CompatibleLoss(nn.Module):
    """The sum of the methods' losses; its parameters are the classifiers trained with the network.

    Args:
        methods: the methods, with their settings.
        supervision: the gallery's outputs for the training images.
        views: of each image, see `QueryRecipe`; images are then not blended.

    Attributes:
        runs_network: whether a method needs the gallery model's embeddings of changed images.
        views: 0 also where no method needs them.

    Raises:
        UserError: the gallery does not provide what a method needs; the message lists the methods
            that work with it. Or there are images without labels, and all methods need labels.
    """

    def __init__(
        self, methods: Sequence[Method], supervision: Supervision, *, views: int = 0
    ) -> None:
        super().__init__()
        require_usable(methods, supervision)
        self.methods, self.supervision = tuple(methods), supervision
        self.runs_network = any(Need.NETWORK in method.needs for method in methods)
        self.views = views if self.runs_network else 0
        self.mixed = 0.0 if self.views else max((method.mixed for method in methods), default=0.0)
        self.labels = supervision.labels
        self.unlabelled = bool((self.labels < 0).any())
        self.losses = nn.ModuleList(method.loss(supervision) for method in methods)

    def prepared(self, shown: Shown, generator: torch.Generator) -> Shown:
        """Rotates, mirrors and blends a share of the images, and asks the gallery model for them.

        Source: mixup, https://arxiv.org/abs/1710.09412.

        Args:
            shown: N images.
            generator: of the random numbers.

        Returns:
            The same images, of which the first `mixed` share is blended pairwise, with the gallery
            model's embeddings where a method needs them.
        """
        if mixed := self._mixed(len(shown)):
            shown = shown.blended(Blend.drawn(mixed, generator))
        return self.supervision.taught(shown) if self.runs_network else shown

    def forward(self, embeddings: Tensor, shown: Shown) -> Tensor:
        """The loss, a scalar.

        Args:
            embeddings: (N, D), of unit length.
            shown: the result of `prepared`, whose images the network has embedded.
        """
        batch = Batch(embeddings, self.labels[shown.indices], shown)
        mixed = self._mixed(len(shown))
        clean = batch.of(slice(mixed, None)) if mixed else batch
        total = embeddings.new_zeros(())
        for method, loss in zip(self.methods, self.losses, strict=True):
            part = batch if method.sees_mixed else clean
            if method.uses_labels and self.unlabelled:
                part = part.labelled()
                if not len(part.labels):
                    continue
            total = total + loss(part)
        return total

    def _mixed(self, images: int) -> int:
        """Number of blended images in a batch."""
        return int(self.mixed * images)


def require_usable(methods: Sequence[Method], supervision: Supervision) -> None:
    """Refuses methods that need what the gallery or the images do not provide.

    Raises:
        UserError: see `CompatibleLoss`.
    """
    if all(method.uses_labels for method in methods) and bool((supervision.labels < 0).any()):
        use = [name for name, kind in METHODS.items() if not kind.uses_labels]
        raise UserError(
            f"{' and '.join(method.name for method in methods)} needs the identities of the "
            "images, so images without labels have no effect.",
            f"Train without them, or use a method that needs no labels: {', '.join(use)}.",
        )
    source = supervision.source
    provided = source.provides(supervision.train)
    for method in methods:
        lacking = [need for need in Need if need in method.needs - provided]
        if lacking:
            works = [name for name, kind in METHODS.items() if kind.needs <= provided]
            raise UserError(
                _refusal(method, lacking[0], supervision),
                f"Use a method that works with this gallery: {', '.join(works)}.",
            )


def _refusal(method: Method, lacking: Need, supervision: Supervision) -> str:
    """Why a method cannot use the gallery."""
    source, train = supervision.source, supervision.train
    missing = source.missing(train)
    gap = f"has none for {missing:,} of {len(train):,} images" if missing else "does not provide it"
    return f"{method.name} needs {lacking.value}, but {source.name} {gap}."
