"""CompatibleLoss: the sum of the losses of the methods that train a query network."""

from __future__ import annotations

from collections.abc import Sequence, Set

import torch
from torch import Tensor, nn

from edgecmp.errors import UserError
from edgecmp.gallery.source import Need
from edgecmp.training.methods import METHODS, Batch, Method
from edgecmp.training.supervision import Supervision

__all__ = ["CompatibleLoss"]


class CompatibleLoss(nn.Module):
    """The sum of the methods' losses; its parameters are the classifiers trained with the network.

    Args:
        methods: the methods, with their settings.
        supervision: the gallery's outputs for the training images.

    Raises:
        UserError: the gallery does not provide what a method needs; the message lists the methods
            that work with it.
    """

    def __init__(self, methods: Sequence[Method], supervision: Supervision) -> None:
        super().__init__()
        _require_usable(methods, supervision)
        self.methods = tuple(methods)
        self.mixed = max((method.mixed for method in methods), default=0.0)
        self.labels = supervision.labels
        self.losses = nn.ModuleList(method.loss(supervision) for method in methods)

    def mix(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Rotates, mirrors and blends a share of the images (mixup, https://arxiv.org/abs/1710.09412).

        Args:
            images: normalised, (N, 3, S, S).
            generator: of the random numbers.

        Returns:
            (N, 3, S, S), of which the first `mixed` share is blended pairwise.
        """
        mixed = self._mixed(len(images))
        if mixed:
            share = torch.rand(mixed, 1, 1, 1, generator=generator)
            images = images.clone()
            oriented = _in_random_directions(images[:mixed], generator)
            images[:mixed] = torch.lerp(oriented, oriented.roll(-1, 0), share)
        return images

    def forward(self, embeddings: Tensor, indices: Tensor, images: Tensor) -> Tensor:
        """The loss, a scalar.

        Args:
            embeddings: (N, D), of unit length.
            indices: training indices (N,).
            images: the result of `mix`, which is the network's input, (N, 3, S, S).
        """
        batch = Batch(embeddings, self.labels[indices], indices, images)
        mixed = self._mixed(len(images))
        clean = batch
        if mixed:
            clean = Batch(embeddings[mixed:], batch.labels[mixed:], indices[mixed:], images[mixed:])
        total = embeddings.new_zeros(())
        for method, loss in zip(self.methods, self.losses, strict=True):
            total = total + loss(batch if method.sees_mixed else clean)
        return total

    def _mixed(self, images: int) -> int:
        """Number of blended images in a batch."""
        return int(self.mixed * images)


def _require_usable(methods: Sequence[Method], supervision: Supervision) -> None:
    """Refuses methods that need what the gallery does not provide."""
    source = supervision.source
    provided = source.provides(supervision.train)
    same_pixels = source.same_pixels(supervision.preprocessing)
    usable = provided if same_pixels else provided - {Need.NETWORK}
    for method in methods:
        lacking = [need for need in Need if need in method.needs - usable]
        if lacking:
            works = [name for name, kind in METHODS.items() if kind.needs <= usable]
            raise UserError(
                _refusal(method, lacking, provided, supervision),
                f"Use a method that works with this gallery: {', '.join(works)}.",
            )


def _refusal(
    method: Method, lacking: Sequence[Need], provided: Set[Need], supervision: Supervision
) -> str:
    """Why a method cannot use the gallery."""
    source, train = supervision.source, supervision.train
    if lacking == [Need.NETWORK] and Need.NETWORK in provided:
        return (
            f"{method.name} shows both networks the same pixels, but the gallery model in "
            f"{source.name} prepares images differently."
        )
    missing = source.missing(train)
    gap = f"has none for {missing:,} of {len(train):,} images" if missing else "does not provide it"
    return f"{method.name} needs {lacking[0].value}, but {source.name} {gap}."


def _in_random_directions(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images (N, 3, S, S), each rotated by 0 to 3 quarter turns and mirrored or not at random."""
    direction = torch.randint(8, (len(images),), generator=generator)
    images = images.clone()
    for value in range(1, 8):
        chosen = direction == value
        rotated = images[chosen].rot90(value % 4, (2, 3))
        images[chosen] = rotated.flip(3) if value >= 4 else rotated
    return images
