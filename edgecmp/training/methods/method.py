"""Method: a way to train a query network to be compatible with its gallery, with settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from torch import Tensor, nn

from edgecmp.errors import unknown_choice
from edgecmp.gallery.source import Need
from edgecmp.training.shown import Shown
from edgecmp.training.supervision import Supervision

__all__ = ["METHODS", "Batch", "Method", "method_named", "register_method"]


@dataclass(frozen=True, slots=True)
class Batch:
    """The arguments of a method's loss.

    Attributes:
        embeddings: of the query network, (N, D), of unit length.
        labels: identities (N,); -1 for images without labels, unless the method uses labels.
        shown: what the networks see of the images.
    """

    embeddings: Tensor
    labels: Tensor
    shown: Shown

    @property
    def indices(self) -> Tensor:
        """Training indices (N,)."""
        return self.shown.indices

    @property
    def taught(self) -> Tensor:
        """The targets (N, D) that belong to what the query network sees, see `Supervision.taught`.

        Only for methods that need `Need.NETWORK`.
        """
        assert self.shown.targets is not None
        return self.shown.targets

    def labelled(self) -> Batch:
        """The images of the batch that have a label."""
        return self.of((self.labels >= 0).nonzero().flatten())

    def of(self, rows: Tensor | slice) -> Batch:
        """Some rows of the batch, (n,) int64 or a slice, which must not be blended."""
        return Batch(self.embeddings[rows], self.labels[rows], self.shown.of(rows))


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """Base of all methods; the fields of each are its settings.

    Attributes:
        name: in the registry.
        mixed: share of each batch, 0..1, that is rotated, mirrored and blended with other images.
        needs: what it needs from the gallery.
        sees_mixed: whether its loss is computed for blended images too; the losses of other
            methods are computed for the rest of the batch.
        post_hoc: whether `finish` changes the trained network.
        uses_labels: whether its loss needs the identities of the images; it is then computed for
            the labelled images of a batch only.
    """

    name: str = field(init=False, default="")
    needs: ClassVar[frozenset[Need]] = frozenset()
    sees_mixed: ClassVar[bool] = False
    post_hoc: ClassVar[bool] = False
    uses_labels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        names = {kind: name for name, kind in METHODS.items()}
        object.__setattr__(self, "name", names[type(self)])

    @property
    def mixed(self) -> float:
        """See the class."""
        return 0.0

    def check(self, network: nn.Module) -> None:
        """Checks before the training that the method can train the network.

        Raises:
            UserError: it cannot.
        """

    def loss(self, supervision: Supervision) -> nn.Module:
        """The loss: a module from `Batch` to a scalar, trained together with the network."""
        raise NotImplementedError

    def finish(self, network: nn.Module, supervision: Supervision) -> None:
        """Changes the trained network in place; called only if `post_hoc`."""
        raise NotImplementedError


METHODS: dict[str, type[Method]] = {}

Kind = TypeVar("Kind", bound=type[Method])


def register_method(name: str) -> Callable[[Kind], Kind]:
    """Registers a method, all of whose settings must have defaults, under a name."""

    def register(kind: Kind) -> Kind:
        METHODS[name] = kind
        return kind

    return register


def method_named(name: str) -> Method:
    """The method of that name with its default settings.

    Raises:
        UserError: there is no such method; the message lists them.
    """
    if name not in METHODS:
        raise unknown_choice("method", name, METHODS)
    return METHODS[name]()
