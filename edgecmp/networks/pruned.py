"""Pruned: a gallery network with fewer filters inside its residual units, as a query network.

Supplement C prunes the first two convolutions of every residual block. What leaves a unit joins a
shortcut and keeps its channels, and so does the embedding: all that the form must tell is how many
filters each inner convolution has left. A unit of two convolutions (ResNet-18) has one inner
convolution, the first, because the second's outputs are what joins the shortcut.
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

__all__ = ["FORMAT", "Kept", "Pruned", "PrunedNet", "keep_channels", "residual_units", "unit_body"]

FORMAT = "edgecmp-pruned/1"

Kept = tuple[tuple[int, ...], ...]
"""Filters of each inner convolution of each residual unit, in the order of the data's way."""


def residual_units(network: GalleryNet) -> list[nn.Module]:
    """The residual units of a gallery network, in the order of the data's way."""
    return [module for module in network.features.modules() if isinstance(module, ResUnit)]


def unit_body(unit: nn.Module) -> list[nn.Module]:
    """The blocks of convolution, batch norm and activation in a unit; all but the last are inner.

    Args:
        unit: one of `residual_units`.
    """
    body: Any = unit.body
    return list(body.children())


@cache
def _full(gallery: str) -> Kept:
    """The filters of every inner convolution before pruning."""
    with torch.device("meta"):  # shapes are enough
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
        producer: block whose filters and batch norm are cut.
        consumer: the next block, whose convolution loses the same inputs.
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
        gallery: name of the gallery network it was cut from.
        kept: filters left in each inner convolution, unit by unit.
        embedding_dim: D of the (N, D) embeddings.
        input_size: height and width, in pixels, of the images it is deployed on.

    Raises:
        UserError: there is no such gallery network, or it has no such filters.
    """

    gallery: str
    kept: Kept
    embedding_dim: int = 128
    input_size: int = 224

    def __post_init__(self) -> None:
        full = _full(self.gallery)
        fits = [len(unit) for unit in self.kept] == [len(unit) for unit in full] and all(
            1 <= left <= whole for left, whole in zip(_flat(self.kept), _flat(full), strict=True)
        )
        if not fits:
            raise UserError(
                f"A pruned {self.gallery} cannot keep these filters: {list(self.kept)}.",
                f"Give each inner convolution from 1 to what it had: {list(full)}.",
            )
        if self.embedding_dim < 1 or self.input_size < 32:
            raise UserError(
                f"An embedding of {self.embedding_dim} values from an input of {self.input_size} "
                "pixels cannot be built.",
                "Use an embedding_dim of at least 1 and an input_size of at least 32.",
            )

    @classmethod
    def of(
        cls, gallery: str, amount: float, *, embedding_dim: int = 128, input_size: int = 224
    ) -> Pruned:
        """The form with `amount` of the filters of every inner convolution pruned.

        Of C filters round(amount C) go, but one always stays.

        Raises:
            UserError: the amount is not in 0..1, 1 excluded, or there is no such gallery network.
        """
        if not 0 <= amount < 1:
            raise UserError(
                f"An amount of {amount:g} filters cannot be pruned.",
                "Give a share from 0 to below 1; the paper's are 0.3, 0.5, 0.7 and 0.9.",
            )
        kept = tuple(
            tuple(max(1, whole - round(amount * whole)) for whole in unit)
            for unit in _full(gallery)
        )
        return cls(gallery=gallery, kept=kept, embedding_dim=embedding_dim, input_size=input_size)

    @property
    def label(self) -> str:
        """The gallery network's name and how many percent of its inner filters are gone."""
        gone = 1 - sum(_flat(self.kept)) / sum(_flat(_full(self.gallery)))
        return f"{self.gallery} -{100 * gone:.0f}%"

    @property
    def whole(self) -> bool:
        """Whether no filter is gone."""
        return self.kept == _full(self.gallery)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the JSON document."""
        return sha256_json(self.to_dict())

    def resized(self, input_size: int) -> Pruned:
        """The same network on images of another size."""
        return replace(self, input_size=input_size)

    def build(self) -> PrunedNet:
        """The network, with fresh weights."""
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
            UserError: a field is missing, unknown, of another type or out of range; `source` is
                named.
        """
        wanted = {"format": str, "gallery": str, "kept": list, "embedding_dim": int}
        wanted["input_size"] = int
        if {name: type(value) for name, value in document.items()} != wanted or any(
            not isinstance(unit, list) or {*map(type, unit)} != {int} for unit in document["kept"]
        ):
            raise UserError(
                f"{source} is no pruned network: it needs {', '.join(wanted)} and nothing else.",
                "Write it again with `edgecmp prune`.",
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
    """`GalleryNet` with narrower inner convolutions; every module keeps its name.

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
                    nn.init.kaiming_normal_(  # to the variance of the filters there are now
                        producer.conv.weight, mode="fan_out", nonlinearity="relu"
                    )
