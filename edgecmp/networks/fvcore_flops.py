"""FLOPs of any network by fvcore's rules, for networks that no `FlopsTable` covers.

Conventions: one multiply-add of a convolution or linear layer counts as one FLOP, and biases count
as zero; batch norm counts two per element, adaptive average pooling one per value that it reads;
other pooling, activations, sums and products count as zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn

__all__ = ["FvcoreCount", "count_fvcore"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FvcoreCount:
    """The cost of one image.

    Attributes:
        flops: fvcore's total.
        macs: the share of convolutions and linear layers, which remains once batch norm is folded.
    """

    flops: int
    macs: int


def count_fvcore(network: nn.Module, input_size: int) -> FvcoreCount:
    """Counts one image of (3, S, S).

    Args:
        network: in evaluation mode.
        input_size: S, in pixels.
    """
    analysis = FlopCountAnalysis(network, torch.zeros(1, 3, input_size, input_size))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    analysis.tracer_warnings("none")
    by_operator = analysis.by_operator()
    return FvcoreCount(
        flops=int(sum(by_operator.values())), macs=int(by_operator["conv"] + by_operator["linear"])
    )
