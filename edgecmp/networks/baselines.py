"""Baselines: pytorchcv's mobile networks and its large ones, each as an embedding network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pytorchcv.model_provider import get_model
from torch import Tensor, nn

from edgecmp.errors import unknown_choice
from edgecmp.networks.live import draw_norms, patch_images
from edgecmp.networks.recalibrate import recalibrate

__all__ = ["BASELINES", "BaselineNet", "build_baseline", "live_baseline"]

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


class BaselineNet(nn.Module):
    """A pytorchcv classifier whose classes are the dimensions of an embedding of unit length.

    Its pooling of 7 x 7 pixels becomes that of the whole map, so that any input size will do.
    """

    def __init__(self, name: str, embedding_dim: int) -> None:
        super().__init__()
        classifier = get_model(name, num_classes=embedding_dim)
        self.features, self.output = classifier.features, classifier.output
        self.features.final_pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) to embeddings (N, D) of unit length."""
        x = self.features(x)
        if isinstance(self.output, nn.Linear):
            x = x.flatten(1)
        return F.normalize(self.output(x).flatten(1), dim=1)


def build_baseline(name: str, *, embedding_dim: int = 128) -> BaselineNet:
    """The baseline of that name, with fresh weights.

    Raises:
        UserError: there is no such network; the message lists them.
    """
    if name not in BASELINES:
        raise unknown_choice("baseline", name, BASELINES)
    return BaselineNet(name, embedding_dim)


@torch.no_grad()
def live_baseline(name: str, input_size: int, seed: int, *, embedding_dim: int = 32) -> BaselineNet:
    """The baseline of that name in evaluation mode, see `edgecmp.networks.live`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_baseline(name, embedding_dim=embedding_dim)
        draw_norms(network)
        recalibrate(network, [patch_images(8, input_size, seed + 1)])
    return network
