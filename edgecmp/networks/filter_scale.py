"""Limits the scale of filters, which batch norm makes irrelevant but float16 cannot store."""

from __future__ import annotations

import torch
from torch import nn

from edgecmp.networks.blocks import ConvBN

__all__ = ["limit_filter_scale"]


@torch.no_grad()
def limit_filter_scale(network: nn.Module) -> None:
    """Divides each filter whose largest weight is 2 or more by a power of two, in place.

    The batch norm after a filter removes its scale, so a filter over a nearly constant channel can
    grow without bound during training. The batch norm's mean and variance are scaled accordingly.
    Division by a power of two is exact, so the network's function changes only by the batch norm's
    epsilon.
    """
    for module in network.modules():
        if isinstance(module, ConvBN):
            largest = module.conv.weight.abs().amax((1, 2, 3))  # (out,)
            factor = torch.exp2(torch.log2(largest.clamp_min(1.0)).floor())
            module.conv.weight.div_(factor[:, None, None, None])
            assert module.bn.running_mean is not None
            assert module.bn.running_var is not None
            module.bn.running_mean.div_(factor)
            module.bn.running_var.div_(factor**2)
