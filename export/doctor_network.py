"""A network of a few nodes with random weights, which every target writes quickly."""

from __future__ import annotations

from typing import Any

import torch

from edgecmp.export.lowering import LoweredNet
from edgecmp.export.lowering import graph as ir
from edgecmp.export.lowering.graph import IMAGE, Graph, Node

__all__ = ["DIM", "SIZE", "probe_network"]

SIZE, CHANNELS, DIM = 32, 8, 16
"""Side of its images in pixels, channels of its feature maps, values of its embedding."""


def probe_network(*, seed: int = 0) -> LoweredNet:
    """A network with one node of each kind that lowering produces."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) / 4

    def conv(name: str, value: str, *shape: int, **options: Any) -> ir.Conv:
        weight, bias = random(*shape), random(shape[0])
        return ir.Conv(name=name, inputs=(value,), weight=weight, bias=bias, **options)

    branch = CHANNELS // 2
    nodes: list[Node] = [
        conv("stem", IMAGE, CHANNELS, 3, 3, 3, stride=1, padding=(1, 1), relu=True),
        ir.Take(name="even", inputs=("stem",), start=0, stop=CHANNELS, step=2),
        ir.Take(name="odd", inputs=("stem",), start=1, stop=CHANNELS, step=2),
        conv("depthwise", "odd", branch, 1, 5, 5, padding=(2, 2), groups=branch),
        conv("pointwise", "depthwise", branch, branch, 1, 1, relu=True),
        ir.Add(name="sum", inputs=("pointwise", "odd"), relu=True),
        ir.Concat(name="concat", inputs=("even", "sum")),
        ir.Mean(name="pool", inputs=("concat",)),
        ir.Linear(name="linear", inputs=("pool",), weight=random(DIM, CHANNELS), bias=random(DIM)),
        ir.Normalise(name="embedding", inputs=("linear",)),
    ]
    return LoweredNet(Graph(nodes=tuple(nodes), input_shape=(3, SIZE, SIZE)))
