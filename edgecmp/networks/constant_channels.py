"""Channels that were the same for every training image, and would explode for another.

Of a channel without variance a batch norm knows nothing, and divides what differs in a new image by
nearly zero: by 0.003, in layer after layer, until embeddings overflow. It happens in networks that
were trained on a few dozen images, in which whole channels die.
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["hold_constant"]

CONSTANT = 0.01
"""Variances below this share of a batch norm's epsilon are no variance: in the training, the
channel varied by less than a tenth of what others did."""


@torch.no_grad()
def hold_constant(network: nn.Module) -> int:
    """Makes the channels that were constant in training constant for all images, in place.

    Args:
        network: trained, with the statistics of its training images.

    Returns:
        The number of channels.
    """
    count = 0
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) and norm.affine:
            assert norm.running_var is not None
            constant = (norm.running_var < CONSTANT * norm.eps) & (norm.weight != 0)
            norm.weight[constant] = 0.0
            count += int(constant.sum())
    return count
