"""Batch-norm recalibration: replaces the statistics by a cumulative average over images."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

__all__ = ["recalibrate"]

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@torch.no_grad()
def recalibrate(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replaces every batch norm's statistics by the plain average over `batches`.

    A subnet that is extracted from a supernet has statistics over all paths, with which its
    embeddings are meaningless. An exponential average would be dominated by the last few batches.

    Args:
        network: changed in place, and left in evaluation mode.
        batches: normalised images, (N, 3, H, W) each, of equal N.
    """
    network.eval()
    norms = [module for module in network.modules() if isinstance(module, _NORMS)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
    for count, batch in enumerate(batches, start=1):
        for norm in norms:
            norm.momentum = 1.0 / count
        network(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
