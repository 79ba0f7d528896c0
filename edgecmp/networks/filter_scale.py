"""Taming filters that training has let grow: batch norm hides their scale, float16 does not."""

from __future__ import annotations

import torch
from torch import nn

from edgecmp.networks.blocks import ConvBN

__all__ = ["tame"]


@torch.no_grad()
def tame(network: nn.Module) -> None:
    """Divides each filter whose largest weight is 2 or more by a power of two, in place.

    The batch norm behind it takes a filter's scale out, so a filter over a nearly dead channel can
    grow without bound. Mean and variance are divided along; a power of two changes no bit of the
    weights, so the network stays the same but for the batch norm's epsilon.
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
