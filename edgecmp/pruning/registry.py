"""The methods of pruning by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from edgecmp.networks.gallery import GalleryNet
from edgecmp.networks.pruned import Kept

__all__ = ["METHODS", "Method", "register_method"]


class Method(Protocol):
    """Prunes a network."""

    def __call__(self, network: GalleryNet, kept: Kept, images: Tensor, *, seed: int) -> None:
        """Cuts inner convolutions down to `kept` filters, in place.

        Args:
            network: a gallery network in evaluation mode.
            kept: filters to leave in each inner convolution, fewer than there are in some.
            images: (N, 3, S, S) normalised training images, for methods that look at responses.
            seed: decides what such a method draws.
        """


METHODS: dict[str, Method] = {}


def register_method(name: str) -> Callable[[Method], Method]:
    """Registers a method of pruning."""

    def register(method: Method) -> Method:
        METHODS[name] = method
        return method

    return register
