"""Baselines: mobile networks and a ResNet-101 of pytorchcv as embedding networks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pytorchcv.model_provider import get_model
from torch import Tensor, nn

from edgecmp.errors import UserError, unknown_choice
from edgecmp.files import sha256_json, write_json
from edgecmp.networks.depthwise import use_fast_depthwise
from edgecmp.networks.random_weights import patch_images, randomise_norms
from edgecmp.networks.recalibrate import recalibrate
from edgecmp.networks.sizes import check_sizes

__all__ = ["BASELINES", "FORMAT", "Baseline", "BaselineNet", "build_baseline", "random_baseline"]

BASELINES = (
    "mobilenet_w1",
    "mobilenet_wd2",
    "mobilenetv2_w1",
    "mobilenetv2_wd2",
    "mobilenetv3_large_w1",
    "proxylessnas_mobile",
    "shufflenet_g1_w1",
    "shufflenetv2_w1",
    "resnet101",
)
"""Names in pytorchcv."""


FORMAT = "edgecmp-baseline/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """A pytorchcv network as a query network; see `edgecmp.networks.form.Form`.

    Attributes:
        name: one of `BASELINES`.
        embedding_dim: D of the (N, D) embeddings.
        input_size: height and width, in pixels, of the images that the network is used on.

    Raises:
        UserError: there is no such baseline, or a size is too small.
    """

    name: str
    embedding_dim: int = 128
    input_size: int = 224

    def __post_init__(self) -> None:
        if self.name not in BASELINES:
            raise unknown_choice("baseline", self.name, BASELINES)
        check_sizes(self.embedding_dim, self.input_size)

    @property
    def label(self) -> str:
        """Its name in pytorchcv."""
        return self.name

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the JSON document."""
        return sha256_json(self.to_dict())

    def resized(self, input_size: int, embedding_dim: int | None = None) -> Baseline:
        """The same network for images, and if given embeddings, of another size."""
        return replace(
            self, input_size=input_size, embedding_dim=embedding_dim or self.embedding_dim
        )

    def build(self) -> BaselineNet:
        """The network with random initial weights."""
        return BaselineNet(self)

    def to_dict(self) -> dict[str, Any]:
        """The JSON document that `from_dict` reads."""
        return {"format": FORMAT, **asdict(self)}

    def save(self, path: str | Path) -> Path:
        """Writes the JSON file, atomically."""
        return write_json(path, self.to_dict())

    @classmethod
    def from_dict(cls, document: dict[str, Any], *, source: str = "The architecture") -> Baseline:
        """Reads what `to_dict` wrote.

        Raises:
            UserError: a field is missing, unknown or of another type; the message names `source`.
        """
        wanted = {"format": str, "name": str, "embedding_dim": int, "input_size": int}
        if {name: type(value) for name, value in document.items()} != wanted:
            raise UserError(
                f"{source} is not a baseline: it needs exactly the fields {', '.join(wanted)}.",
                f"Correct the file, or name one of the baselines: {', '.join(BASELINES)}.",
            )
        return cls(**{name: value for name, value in document.items() if name != "format"})


class BaselineNet(nn.Module):
    """A pytorchcv classifier whose outputs are the values of an embedding of unit length.

    Its 7 x 7 pooling is replaced by global pooling, so that any input size works. The bias of its
    last layer is replaced by a batch norm, as in `edgecmp.networks.blocks.Embedding`, so that
    training makes progress from the first epoch. The weights are initialised by pytorchcv, and the
    depthwise convolutions use the fast weight gradient of `edgecmp.networks.depthwise`.

    Args:
        architecture: the form that the network is built from.
    """

    def __init__(self, architecture: Baseline) -> None:
        super().__init__()
        self.architecture = architecture
        classifier = get_model(architecture.name, num_classes=architecture.embedding_dim)
        self.features, self.output = classifier.features, classifier.output
        self.features.final_pool = nn.AdaptiveAvgPool2d(1)
        last = [
            layer for layer in self.output.modules() if isinstance(layer, nn.Conv2d | nn.Linear)
        ]
        last[-1].bias = None
        self.bn = nn.BatchNorm1d(architecture.embedding_dim)
        use_fast_depthwise(self.features)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) to embeddings (N, D) of unit length."""
        x = self.features(x)
        if isinstance(self.output, nn.Linear):
            x = x.flatten(1)
        return F.normalize(self.bn(self.output(x).flatten(1)), dim=1)


def build_baseline(name: str, *, embedding_dim: int = 128) -> BaselineNet:
    """The baseline of that name with random initial weights.

    Raises:
        UserError: there is no such baseline; the message lists them.
    """
    return Baseline(name=name, embedding_dim=embedding_dim).build()


@torch.no_grad()
def random_baseline(
    name: str, input_size: int, seed: int, *, embedding_dim: int = 32
) -> BaselineNet:
    """The baseline with random weights; see `edgecmp.networks.random_weights.random_network`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_baseline(name, embedding_dim=embedding_dim)
        randomise_norms(network)
        network.bn.weight.uniform_(0.5, 1.5)
        recalibrate(network, [patch_images(8, input_size, seed + 1)])
    return network
