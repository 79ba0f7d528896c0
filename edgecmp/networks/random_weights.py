"""Networks whose embeddings differ from image to image, so that agreement means something.

A freshly initialised network maps every image to nearly the same embedding; any two such networks
would "agree". `live_network` gives each batch norm random weights and the statistics of images
that have structure.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecmp.networks.architecture import Architecture
from edgecmp.networks.query import QueryNet
from edgecmp.networks.recalibrate import recalibrate

__all__ = ["draw_norms", "live_network", "patch_images"]


def patch_images(count: int, size: int, seed: int) -> Tensor:
    """Normalised images (N, 3, S, S) in -1..1: coloured patches at three scales."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.zeros(count, 3, size, size)
    for cells in (2, 7, 23):
        patches = torch.rand(count, 3, cells, cells, generator=generator) * 2 - 1
        images += F.interpolate(patches, size=(size, size), mode="nearest")
    return images.clamp(-1, 1)


@torch.no_grad()
def live_network(architecture: Architecture, seed: int) -> QueryNet:
    """A network of that shape in evaluation mode; see the module."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = architecture.build()
        draw_norms(network)
        network.embedding.bn.weight.uniform_(0.5, 1.5)
        recalibrate(network, [patch_images(8, architecture.input_size, seed + 1)])
    return network


def draw_norms(network: nn.Module) -> None:
    """Gives each batch norm of feature maps random weights."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.uniform_(0.5, 1.5)
            module.bias.uniform_(0.0, 1.0)
