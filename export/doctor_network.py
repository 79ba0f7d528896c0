"""A network of a few nodes, which every target writes in no time."""

from __future__ import annotations

from typing import Any

import torch

from edgecmp.export.lowering import LoweredNet
from edgecmp.export.lowering.graph import (
    IMAGE,
    Add,
    Concat,
    Conv,
    Graph,
    Linear,
    Mean,
    Node,
    Normalise,
    Take,
)

__all__ = ["DIM", "SIZE", "tiny_network"]

SIZE, CHANNELS, DIM = 32, 8, 16


def tiny_network(*, seed: int = 0) -> LoweredNet:
    """A network of the kinds of node that lowering leaves, with random weights."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) / 4

    def conv(name: str, value: str, *shape: int, **options: Any) -> Conv:
        return Conv(name=name, inputs=(value,), weight=draw(*shape), bias=draw(shape[0]), **options)

    half = CHANNELS // 2
    nodes: list[Node] = [
        conv("stem", IMAGE, CHANNELS, 3, 3, 3, stride=1, padding=(1, 1), relu=True),
        Take(name="even", inputs=("stem",), start=0, stop=CHANNELS, step=2),
        Take(name="odd", inputs=("stem",), start=1, stop=CHANNELS, step=2),
        conv("depthwise", "odd", half, 1, 5, 5, padding=(2, 2), groups=half),
        conv("pointwise", "depthwise", half, half, 1, 1, relu=True),
        Add(name="sum", inputs=("pointwise", "odd"), relu=True),
        Concat(name="concat", inputs=("even", "sum")),
        Mean(name="pool", inputs=("concat",)),
        Linear(name="linear", inputs=("pool",), weight=draw(DIM, CHANNELS), bias=draw(DIM)),
        Normalise(name="embedding", inputs=("linear",)),
    ]
    return LoweredNet(Graph(nodes=tuple(nodes), input_shape=(3, SIZE, SIZE)))
