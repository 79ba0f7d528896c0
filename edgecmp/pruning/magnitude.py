"""Magnitude pruning: removes the filters with the smallest L1 norms.

Source: Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017,
https://arxiv.org/abs/1608.08710.
"""

from __future__ import annotations

from typing import Any

import torch
import torch_pruning
from torch import Tensor

from edgecmp.networks.gallery import GalleryNet
from edgecmp.networks.pruned import Kept, residual_units, unit_body
from edgecmp.pruning.registry import register_method

__all__ = ["prune_magnitude"]

TRACED_PIXELS = 64
"""Side of the image for tracing the dependencies of layers, which do not depend on it."""


@register_method("magnitude")
def prune_magnitude(network: GalleryNet, kept: Kept, images: Tensor, *, seed: int) -> None:
    """Prunes the network with torch-pruning, by its weights alone; see `Method`.

    The criterion is sum |w| over a filter, as in the paper. The default of torch-pruning's
    importance differs: it averages over the filter, its batch norm and the next layer's inputs. All
    filters are ranked before any is removed, which the paper calls independent pruning.
    """
    del images, seed
    ratios = {}
    for unit, counts in zip(residual_units(network), kept, strict=True):
        blocks: list[Any] = unit_body(unit)
        for block, count in zip(blocks, counts, strict=False):
            # int(C (1 - ratio)) filters are kept; adding 0.5 guards against float rounding
            if count < block.conv.out_channels:
                ratios[block.conv] = 1 - (count + 0.5) / block.conv.out_channels
    network.requires_grad_(True)  # torch-pruning traces the gradient graph
    with torch.enable_grad():
        pruner = torch_pruning.pruner.BasePruner(
            network,
            torch.zeros(1, 3, TRACED_PIXELS, TRACED_PIXELS),
            importance=torch_pruning.importance.MagnitudeImportance(
                p=1, group_reduction="first", normalizer=None
            ),
            pruning_ratio=0,
            pruning_ratio_dict=ratios,
            global_pruning=False,
        )
    pruner.step()
