"""Method: a way to train a query network so that it fits its gallery, with its settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from torch import Tensor, nn

from edgecmp.errors import unknown_choice
from edgecmp.gallery.source import Need
from edgecmp.training.supervision import Supervision

__all__ = ["METHODS", "Batch", "Method", "method_named", "register_method"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What a loss sees of a step.

    Attributes:
        embeddings: of the query network, (N, D), of unit length.
        labels: training identities (N,).
        indices: training images (N,).
        images: what the network saw, (N, 3, S, S), normalised.
    """

    embeddings: Tensor
    labels: Tensor
    indices: Tensor
    images: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """Base of all methods; the fields of each are its settings.

    Attributes:
        name: in the registry.
        mixed: share of each batch, 0..1, that is turned, mirrored and blended with other images.
            Only a method with `sees_mixed` knows what to answer there; the others are given the
            rest of the batch.
        needs: what it needs of the gallery.
        post_hoc: whether `finish` changes the trained network.
    """

    name: str = field(init=False, default="")
    needs: ClassVar[frozenset[Need]] = frozenset()
    sees_mixed: ClassVar[bool] = False
    post_hoc: ClassVar[bool] = False

    def __post_init__(self) -> None:
        names = {kind: name for name, kind in METHODS.items()}
        object.__setattr__(self, "name", names[type(self)])

    @property
    def mixed(self) -> float:
        """See the class."""
        return 0.0

    def check(self, network: nn.Module) -> None:
        """Refuses, by a UserError, a network that the method cannot train, before it does."""

    def loss(self, supervision: Supervision) -> nn.Module:
        """A module that takes a `Batch` to the loss, a scalar; its parameters are trained along."""
        raise NotImplementedError

    def finish(self, network: nn.Module, supervision: Supervision) -> None:
        """Changes the trained network in place, where `post_hoc`."""
        raise NotImplementedError


METHODS: dict[str, type[Method]] = {}

Kind = TypeVar("Kind", bound=type[Method])


def register_method(name: str) -> Callable[[Kind], Kind]:
    """Registers a method; its settings must all have defaults."""

    def register(kind: Kind) -> Kind:
        METHODS[name] = kind
        return kind

    return register


def method_named(name: str) -> Method:
    """The method of that name with its default settings; a UserError lists all names."""
    if name not in METHODS:
        raise unknown_choice("method", name, METHODS)
    return METHODS[name]()
