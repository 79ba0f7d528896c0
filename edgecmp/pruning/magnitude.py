"""Magnitude pruning: the filters with the smallest L1 norms go (Li et al. 2017)."""

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
"""Side of the image that the dependencies are traced with; they do not depend on it."""


@register_method("magnitude")
def prune_magnitude(network: GalleryNet, kept: Kept, images: Tensor, *, seed: int) -> None:
    """Cuts the network by torch-pruning; looks at the weights alone. See `Method`.

    The criterion is sum |w| over a filter, as in the paper. torch-pruning's default of the same
    importance is another one: the mean over the filter, its batch norm and the next layer's inputs.
    All filters are ranked before any is cut (what the paper calls independent pruning).
    """
    del images, seed
    ratios = {}
    for unit, counts in zip(residual_units(network), kept, strict=True):
        blocks: list[Any] = unit_body(unit)
        for block, count in zip(blocks, counts, strict=False):
            # int(C (1 - ratio)) stay: the half keeps float rounding from taking one more
            if count < block.conv.out_channels:
                ratios[block.conv] = 1 - (count + 0.5) / block.conv.out_channels
    network.requires_grad_(True)  # it is traced by its gradients
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
