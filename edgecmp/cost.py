"""Cost: what a network of any form costs, by fvcore's rules."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Self

import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn

__all__ = ["Cost"]

PAPER_SIZE = 224


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Parameters, and FLOPs at 224 x 224.

    Attributes:
        params: learned numbers.
        flops_224: fvcore's count: a multiply-add of a convolution or linear layer is one FLOP, and
            batch norm in evaluation mode counts two per element.
        macs_224: the same without batch norm: what runs once it is folded into the convolutions.
    """

    params: int
    flops_224: int
    macs_224: int

    @classmethod
    def of(cls, network: nn.Module) -> Self:
        """Counts a network in evaluation mode, by its shapes alone."""
        analysis = FlopCountAnalysis(network, torch.zeros(1, 3, PAPER_SIZE, PAPER_SIZE))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        by = analysis.by_operator()
        return cls(
            params=sum(parameter.numel() for parameter in network.parameters()),
            flops_224=int(analysis.total()),
            macs_224=int(by["conv"] + by["linear"]),
        )

    def to_dict(self) -> dict[str, int]:
        """As reports show it."""
        return asdict(self)
