"""Networks with random weights whose embeddings differ between images, for tests of equality.

A freshly initialised network maps all images to nearly the same embedding, so that any two such
networks would seem to agree. Here each batch norm gets random weights, and statistics from images
with structure.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecmp.networks.architecture import Architecture
from edgecmp.networks.query import QueryNet
from edgecmp.networks.recalibrate import recalibrate

__all__ = ["patch_images", "random_network", "randomise_norms"]


def patch_images(count: int, size: int, seed: int) -> Tensor:
    """Normalised images (N, 3, S, S) in -1..1 of coloured patches at three scales.

    Args:
        count: N.
        size: S, in pixels.
        seed: of the random colours.
    """
    generator = torch.Generator().manual_seed(seed)
    images = torch.zeros(count, 3, size, size)
    for cells in (2, 7, 23):
        patches = torch.rand(count, 3, cells, cells, generator=generator) * 2 - 1
        images += F.interpolate(patches, size=(size, size), mode="nearest")
    return images.clamp(-1, 1)


@torch.no_grad()
def random_network(architecture: Architecture, seed: int) -> QueryNet:
    """A network of that shape with random weights and recalibrated norms, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = architecture.build()
        randomise_norms(network)
        network.embedding.bn.weight.uniform_(0.5, 1.5)
        recalibrate(network, [patch_images(8, architecture.input_size, seed + 1)])
    return network


def randomise_norms(network: nn.Module) -> None:
    """Sets the weights of each batch norm of feature maps at random, from torch's generator."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.uniform_(0.5, 1.5)
            module.bias.uniform_(0.0, 1.0)
