"""Pruned: a gallery network with fewer filters inside its residual units, as a query network.

Supplement C prunes the first two convolutions of every residual block. The output of a unit is
added to a shortcut and keeps its channels, as does the embedding, so the form only stores how many
filters each inner convolution keeps. A unit of two convolutions (ResNet-18) has one inner
convolution, the first, because the output of the second is added to the shortcut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from pytorchcv.models.resnet import ResUnit
from torch import Tensor, nn

from edgecmp.errors import UserError
from edgecmp.files import sha256_json, write_json
from edgecmp.networks.gallery import GalleryNet, build_gallery
from edgecmp.networks.sizes import check_sizes

__all__ = ["FORMAT", "Kept", "Pruned", "PrunedNet", "keep_channels", "residual_units", "unit_body"]

FORMAT = "edgecmp-pruned/1"

Kept = tuple[tuple[int, ...], ...]
"""Number of filters of each inner convolution of each residual unit, in forward order."""


def residual_units(network: GalleryNet) -> list[nn.Module]:
    """The residual units of a gallery network, in forward order."""
    return [module for module in network.features.modules() if isinstance(module, ResUnit)]


def unit_body(unit: nn.Module) -> list[nn.Module]:
    """The convolution blocks of a residual unit, of which all but the last are inner.

    Args:
        unit: one of `residual_units`.
    """
    body: Any = unit.body
    return list(body.children())


@cache
def _full(gallery: str) -> Kept:
    """The filters of every inner convolution before pruning."""
    with torch.device("meta"):  # only the shapes are needed
        network = build_gallery(gallery)
    return _kept(network)


def _kept(network: GalleryNet) -> Kept:
    return tuple(
        tuple(int(block.conv.out_channels) for block in unit_body(unit)[:-1])  # type: ignore[union-attr, arg-type]
        for unit in residual_units(network)
    )


@torch.no_grad()
def keep_channels(producer: Any, consumer: Any, channels: Tensor) -> None:
    """Keeps some channels between two blocks of a unit and drops the others, in place.

    Args:
        producer: the block whose filters and batch norm are pruned.
        consumer: the next block, whose convolution loses the same input channels.
        channels: (K,) indices to keep, ascending.
    """
    producer.conv.weight = nn.Parameter(producer.conv.weight[channels])
    producer.conv.out_channels = len(channels)
    for name in ("weight", "bias"):
        setattr(producer.bn, name, nn.Parameter(getattr(producer.bn, name)[channels]))
    for name in ("running_mean", "running_var"):
        setattr(producer.bn, name, getattr(producer.bn, name)[channels])
    producer.bn.num_features = len(channels)
    consumer.conv.weight = nn.Parameter(consumer.conv.weight[:, channels])
    consumer.conv.in_channels = len(channels)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruned:
    """A pruned gallery network as a query network; see `edgecmp.networks.form.Form`.

    Attributes:
        gallery: name of the gallery network that was pruned.
        kept: number of filters that each inner convolution keeps, unit by unit.
        embedding_dim: D of the (N, D) embeddings.
        input_size: height and width, in pixels, of the images that the network is used on.

    Raises:
        UserError: there is no such gallery network, `kept` does not fit it, or a size is too small.
    """

    gallery: str
    kept: Kept
    embedding_dim: int = 128
    input_size: int = 224

    def __post_init__(self) -> None:
        full = _full(self.gallery)
        fits = [len(unit) for unit in self.kept] == [len(unit) for unit in full] and all(
            1 <= left <= count for left, count in zip(_flat(self.kept), _flat(full), strict=True)
        )
        if not fits:
            raise UserError(
                f"A pruned {self.gallery} cannot keep these filters: {list(self.kept)}.",
                f"Keep at least 1 and at most all filters of each inner convolution: {list(full)}.",
            )
        check_sizes(self.embedding_dim, self.input_size)

    @classmethod
    def of(
        cls, gallery: str, amount: float, *, embedding_dim: int = 128, input_size: int = 224
    ) -> Pruned:
        """The form in which every inner convolution has lost a share of its filters.

        Of C filters round(amount C) are removed, but at least one is kept.

        Args:
            gallery: name of a gallery network.
            amount: the share, from 0 to below 1.
            embedding_dim: D of the (N, D) embeddings.
            input_size: height and width of the images, in pixels.

        Raises:
            UserError: the amount is out of range, or there is no such gallery network.
        """
        if not 0 <= amount < 1:
            raise UserError(
                f"A share of {amount:g} of the filters cannot be pruned.",
                "Set --amount to at least 0 and below 1; the paper uses 0.3, 0.5, 0.7 and 0.9.",
            )
        kept = tuple(
            tuple(max(1, count - round(amount * count)) for count in unit)
            for unit in _full(gallery)
        )
        return cls(gallery=gallery, kept=kept, embedding_dim=embedding_dim, input_size=input_size)

    @property
    def label(self) -> str:
        """The gallery network's name and the percentage of inner filters that were removed."""
        removed = 1 - sum(_flat(self.kept)) / sum(_flat(_full(self.gallery)))
        return f"{self.gallery} -{100 * removed:.0f}%"

    @property
    def unpruned(self) -> bool:
        """Whether all filters are kept."""
        return self.kept == _full(self.gallery)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the JSON document."""
        return sha256_json(self.to_dict())

    def resized(self, input_size: int, embedding_dim: int | None = None) -> Pruned:
        """The same network for images, and if given embeddings, of another size."""
        return replace(
            self, input_size=input_size, embedding_dim=embedding_dim or self.embedding_dim
        )

    def build(self) -> PrunedNet:
        """The network with random initial weights."""
        return PrunedNet(self)

    def to_dict(self) -> dict[str, Any]:
        """The JSON document that `from_dict` reads."""
        return {"format": FORMAT, **asdict(self), "kept": [list(unit) for unit in self.kept]}

    def save(self, path: str | Path) -> Path:
        """Writes the JSON file, atomically."""
        return write_json(path, self.to_dict())

    @classmethod
    def from_dict(cls, document: dict[str, Any], *, source: str = "The architecture") -> Pruned:
        """Reads what `to_dict` wrote.

        Raises:
            UserError: a field is missing, unknown, of another type or out of range; the message
                names `source`.
        """
        wanted = {"format": str, "gallery": str, "kept": list, "embedding_dim": int}
        wanted["input_size"] = int
        if {name: type(value) for name, value in document.items()} != wanted or any(
            not isinstance(unit, list) or {*map(type, unit)} != {int} for unit in document["kept"]
        ):
            raise UserError(
                f"{source} is not a pruned network: it needs exactly the fields "
                f"{', '.join(wanted)}.",
                "Create it again with `edgecmp prune`.",
            )
        return cls(
            gallery=document["gallery"],
            kept=tuple(tuple(unit) for unit in document["kept"]),
            embedding_dim=document["embedding_dim"],
            input_size=document["input_size"],
        )


def _flat(kept: Sequence[Sequence[int]]) -> Iterator[int]:
    return (count for unit in kept for count in unit)


class PrunedNet(GalleryNet):
    """`GalleryNet` with fewer filters in its inner convolutions and the same module names.

    Attributes:
        architecture: the form it was built from.
    """

    def __init__(self, architecture: Pruned) -> None:
        super().__init__(
            architecture.gallery,
            embedding_dim=architecture.embedding_dim,
            input_size=architecture.input_size,
        )
        self.architecture = architecture
        for unit, counts in zip(residual_units(self), architecture.kept, strict=True):
            blocks: list[Any] = unit_body(unit)
            for producer, consumer, count in zip(blocks, blocks[1:], counts, strict=False):
                if count < producer.conv.out_channels:
                    keep_channels(producer, consumer, torch.arange(count))
                    nn.init.kaiming_normal_(  # for the variance of the remaining filters
                        producer.conv.weight, mode="fan_out", nonlinearity="relu"
                    )
