"""Cross-layer equalisation: channels that share an 8-bit scale are given like ranges, exactly.

Between a convolution and its readers a channel can be divided by any positive number, if the
readers' weights for it are multiplied by the same: ReLU, slices, concatenations, padding, sums and
means let it pass. In floats nothing changes. In integers a channel of small values no longer has to
live on the few steps that the largest channel of its scale leaves it (Nagel et al. 2019, after
whom the step is named; here the scales follow the channels' ranges on real images, through slices
and concatenations).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from edgecmp.export.lowering.graph import (
    IMAGE,
    Add,
    Affine,
    Concat,
    Conv,
    Graph,
    Linear,
    Node,
    Take,
)
from edgecmp.export.quantisation.ranges import Range

__all__ = ["equalise"]

STRENGTH = 0.8
"""0: channels stay as they are; 1: equal ranges, at the expense of the readers' weights."""

SMALLEST_SHARE = 1 / 256
"""Channels below one step of the largest one's scale are stretched no further."""


def equalise(
    graph: Graph, ranges: Mapping[str, Range], *, strength: float = STRENGTH
) -> tuple[Graph, dict[str, Range]]:
    """The graph with its channels divided by (their range / the largest)^strength, and its ranges.

    Args:
        graph: without batch norms on anything but the image.
        ranges: of each value on real images, by name.
        strength: see `STRENGTH`.
    """
    divisors: dict[str, Tensor] = {IMAGE: torch.ones(graph.input_shape[0], dtype=torch.float64)}
    nodes: list[Node] = []
    for node in graph:
        incoming = divisors[node.inputs[0]]
        outgoing = incoming
        if isinstance(node, Conv):
            outgoing = _divisors(ranges[_sum_of(node, graph)], strength)
            node = _rescaled(node, incoming, outgoing)
        elif isinstance(node, Linear):
            outgoing = torch.ones(len(node.bias), dtype=torch.float64)
            node = replace(node, weight=(node.weight * incoming).to(node.weight.dtype))
        elif isinstance(node, Affine):
            node = replace(node, shift=(node.shift / incoming).to(node.shift.dtype))
        elif isinstance(node, Concat):
            outgoing = torch.cat([divisors[name] for name in node.inputs])
        elif isinstance(node, Take):
            outgoing = incoming[node.start : node.stop : node.step]
        divisors[node.name] = outgoing
        nodes.append(node)
    return graph.with_nodes(nodes), {
        name: Range(low=found.low / divisors[name], high=found.high / divisors[name])
        for name, found in ranges.items()
    }


def _sum_of(node: Node, graph: Graph) -> str:
    """The value that a convolution ends up in: the last of the sums that it is a term of."""
    readers = [reader for reader in graph if node.name in reader.inputs]
    while len(readers) == 1 and isinstance(readers[0], Add):
        node = readers[0]
        readers = [reader for reader in graph if node.name in reader.inputs]
    return node.name


def _divisors(values: Range, strength: float) -> Tensor:
    """(C,) float64: one for each channel."""
    reach = torch.maximum(values.high.abs(), values.low.abs()).double()
    share = (reach / reach.max().clamp(min=1e-30)).clamp(min=SMALLEST_SHARE)
    return share**strength


def _rescaled(conv: Conv, incoming: Tensor, outgoing: Tensor) -> Conv:
    """The convolution that reads channels divided by `incoming` and gives them by `outgoing`."""
    weight = conv.weight / outgoing[:, None, None, None]
    weight = weight * (incoming[:, None, None, None] if conv.depthwise else incoming[:, None, None])
    return replace(
        conv, weight=weight.to(conv.weight.dtype), bias=(conv.bias / outgoing).to(conv.bias.dtype)
    )
