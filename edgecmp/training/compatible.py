"""CompatibleLoss: what ties a query network to its gallery, the sum of one or more methods."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgecmp.errors import UserError
from edgecmp.gallery.source import Need
from edgecmp.training.methods import METHODS, Batch, Method
from edgecmp.training.supervision import Supervision

__all__ = ["CompatibleLoss"]


class CompatibleLoss(nn.Module):
    """The sum of the methods' losses; classifiers that are trained along are its parameters.

    Raises:
        UserError: the gallery lacks what a method needs.
    """

    def __init__(self, methods: Sequence[Method], supervision: Supervision) -> None:
        super().__init__()
        require(methods, supervision)
        self.methods = tuple(methods)
        self.mixed = max((method.mixed for method in methods), default=0.0)
        self.labels = supervision.labels
        self.losses = nn.ModuleList(method.loss(supervision) for method in methods)

    def mix(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images (N, 3, S, S), a first share of them in random directions, blended pairwise."""
        mixed = self._mixed(len(images))
        if mixed:
            share = torch.rand(mixed, 1, 1, 1, generator=generator)
            images = images.clone()
            turned = _in_random_directions(images[:mixed], generator)
            images[:mixed] = torch.lerp(turned, turned.roll(-1, 0), share)
        return images

    def forward(self, embeddings: Tensor, indices: Tensor, images: Tensor) -> Tensor:
        """The loss, a scalar.

        Args:
            embeddings: (N, D), of unit length.
            indices: training indices (N,).
            images: what `mix` gave and the network saw, (N, 3, S, S).
        """
        whole = Batch(embeddings, self.labels[indices], indices, images)
        mixed = self._mixed(len(images))
        clean = whole
        if mixed:
            clean = Batch(embeddings[mixed:], whole.labels[mixed:], indices[mixed:], images[mixed:])
        total = embeddings.new_zeros(())
        for method, loss in zip(self.methods, self.losses, strict=True):
            total = total + loss(whole if method.sees_mixed else clean)
        return total

    def _mixed(self, images: int) -> int:
        """How many images of a batch are blended."""
        return int(self.mixed * images)


def require(methods: Sequence[Method], supervision: Supervision) -> None:
    """Refuses methods that need what the gallery lacks, and lists those that work with it.

    Raises:
        UserError: see above.
    """
    source, train = supervision.source, supervision.train
    given = source.provides(train)
    alike = source.sees_alike(supervision.preprocessing)
    usable = given if alike else given - {Need.NETWORK}
    work = [name for name, method in METHODS.items() if method.needs <= usable]
    for method in methods:
        lacking = [need for need in Need if need in method.needs - usable]
        if not lacking:
            continue
        if lacking == [Need.NETWORK] and Need.NETWORK in given:
            why = (
                f"{method.name} shows both networks the same images, but the gallery model in "
                f"{source.name} prepares them differently."
            )
        else:
            why = f"{method.name} needs {lacking[0].value}; {source.name} "
            missing = source.missing(train)
            why += f"lacks {missing:,} of the {len(train):,}." if missing else "holds none."
        raise UserError(why, f"These methods work with it here: {', '.join(work)}.")


def _in_random_directions(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images (N, 3, S, S), each turned by quarters and mirrored at random: 8 directions."""
    direction = torch.randint(8, (len(images),), generator=generator)
    images = images.clone()
    for value in range(1, 8):
        chosen = direction == value
        part = images[chosen].rot90(value % 4, (2, 3))
        images[chosen] = part.flip(3) if value >= 4 else part
    return images
