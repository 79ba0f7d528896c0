"""The pruning methods by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from edgecmp.networks.gallery import GalleryNet
from edgecmp.networks.pruned import Kept

__all__ = ["METHODS", "Method", "register_method"]


class Method(Protocol):
    """A function that prunes a network."""

    def __call__(self, network: GalleryNet, kept: Kept, images: Tensor, *, seed: int) -> None:
        """Prunes the inner convolutions to `kept` filters, in place.

        Args:
            network: a gallery network in evaluation mode.
            kept: number of filters to keep in each inner convolution; at least one loses some.
            images: (N, 3, S, S) normalised training images, for methods that use responses.
            seed: of the random numbers of such a method.
        """


METHODS: dict[str, Method] = {}


def register_method(name: str) -> Callable[[Method], Method]:
    """Registers a pruning method under a name."""

    def register(method: Method) -> Method:
        METHODS[name] = method
        return method

    return register
