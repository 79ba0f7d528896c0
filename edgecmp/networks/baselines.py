"""Baselines: pytorchcv's mobile networks and its large ones, each as an embedding network."""

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
from edgecmp.networks.depthwise import quicken
from edgecmp.networks.random_weights import draw_norms, patch_images
from edgecmp.networks.recalibrate import recalibrate

__all__ = ["BASELINES", "FORMAT", "Baseline", "BaselineNet", "build_baseline", "live_baseline"]

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

    Raises:
        UserError: there is no such baseline, or a size is impossible.
    """

    name: str
    embedding_dim: int = 128
    input_size: int = 224

    def __post_init__(self) -> None:
        if self.name not in BASELINES:
            raise unknown_choice("baseline", self.name, BASELINES)
        if self.embedding_dim < 1 or self.input_size < 32:
            raise UserError(
                f"An embedding of {self.embedding_dim} values from an input of {self.input_size} "
                "pixels cannot be built.",
                "Use an embedding_dim of at least 1 and an input_size of at least 32.",
            )

    @property
    def label(self) -> str:
        """Its name in pytorchcv."""
        return self.name

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the JSON document."""
        return sha256_json(self.to_dict())

    def resized(self, input_size: int) -> Baseline:
        """The same network on images of another size."""
        return replace(self, input_size=input_size)

    def build(self) -> BaselineNet:
        """The network, with fresh weights."""
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
            UserError: a field is missing, unknown or of another type; `source` is named.
        """
        wanted = {"format": str, "name": str, "embedding_dim": int, "input_size": int}
        if {name: type(value) for name, value in document.items()} != wanted:
            raise UserError(
                f"{source} is no baseline: it needs {', '.join(wanted)} and nothing else.",
                "Write it again, or name the baseline itself.",
            )
        return cls(**{name: value for name, value in document.items() if name != "format"})


class BaselineNet(nn.Module):
    """A pytorchcv classifier whose classes are the dimensions of an embedding of unit length.

    Its pooling of 7 x 7 pixels becomes that of the whole map, so that any input size will do. Its
    last layer loses its bias to a batch norm, as in `edgecmp.networks.blocks.Embedding`: training
    starts as soon as that of our own networks. The weights are drawn as pytorchcv draws them; the
    depthwise convolutions train as fast as ours.
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
        quicken(self.features)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) to embeddings (N, D) of unit length."""
        x = self.features(x)
        if isinstance(self.output, nn.Linear):
            x = x.flatten(1)
        return F.normalize(self.bn(self.output(x).flatten(1)), dim=1)


def build_baseline(name: str, *, embedding_dim: int = 128) -> BaselineNet:
    """The baseline of that name, with fresh weights.

    Raises:
        UserError: there is no such network; the message lists them.
    """
    return Baseline(name=name, embedding_dim=embedding_dim).build()


@torch.no_grad()
def live_baseline(name: str, input_size: int, seed: int, *, embedding_dim: int = 32) -> BaselineNet:
    """The baseline of that name in evaluation mode, see `edgecmp.networks.random_weights`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_baseline(name, embedding_dim=embedding_dim)
        draw_norms(network)
        network.bn.weight.uniform_(0.5, 1.5)
        recalibrate(network, [patch_images(8, input_size, seed + 1)])
    return network
