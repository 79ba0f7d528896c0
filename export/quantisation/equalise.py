"""Cross-layer equalisation: channels that share an 8-bit scale get similar ranges, exactly.

Between a convolution and its readers a channel can be divided by any positive number if the
readers' weights for it are multiplied by the same number: ReLU, slices, concatenations, padding,
sums, maxima and means preserve the factor. In floats nothing changes. In integers a channel of
small values no longer has only the few steps that the scale of the largest channel leaves it
(Nagel et al. 2019, after whom the step is named; here the factors follow the channels' ranges on
real images, also through slices and concatenations).

Channels that are added together must be divided by the same number (see `channel_groups`). The
inputs of ReLU6, h-swish and h-sigmoid cannot be divided, since these functions are not homogeneous.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from edgecmp.export.lowering.graph import Add, Affine, Conv, Graph, Linear, Node
from edgecmp.export.quantisation.channel_groups import FIXED, channel_groups
from edgecmp.export.quantisation.observers import Range

__all__ = ["equalise"]

STRENGTH = 0.8
"""0: channels are not divided; 1: equal ranges, at the expense of the readers' weights."""

SMALLEST_SHARE = 1 / 256
"""The least share of the largest channel's range that counts: one step of its scale."""


def equalise(
    graph: Graph, ranges: Mapping[str, Range], *, strength: float = STRENGTH
) -> tuple[Graph, dict[str, Range]]:
    """The graph with its channels divided by (their range / the largest)^strength, and its ranges.

    Args:
        graph: without batch norms, except on the image.
        ranges: of each value on real images, by name.
        strength: see `STRENGTH`.
    """
    groups = channel_groups(graph)
    shares = torch.ones(1 + max(int(group.max()) for group in groups.values())).double()
    for node in graph:  # in a chain of sums the last one, which contains all terms, decides
        if isinstance(node, Conv | Add):
            shares[torch.from_numpy(groups[node.name])] = _shares(ranges[node.name])
    shares[FIXED] = 1
    divisors = {name: shares[torch.from_numpy(g)] ** strength for name, g in groups.items()}
    nodes = [_rescaled(node, divisors[node.inputs[0]], divisors[node.name]) for node in graph]
    return graph.with_nodes(nodes), {
        name: Range(low=found.low / divisors[name], high=found.high / divisors[name])
        for name, found in ranges.items()
    }


def _shares(values: Range) -> Tensor:
    """(C,) float64: each channel's largest magnitude as a share of the largest channel's."""
    magnitude = torch.maximum(values.high.abs(), values.low.abs()).double()
    return (magnitude / magnitude.max().clamp(min=1e-30)).clamp(min=SMALLEST_SHARE)


def _rescaled(node: Node, incoming: Tensor, outgoing: Tensor) -> Node:
    """A node whose input channels are divided by `incoming`, its output channels by `outgoing`."""
    if isinstance(node, Conv):
        factor = incoming[:, None, None, None] if node.depthwise else incoming[:, None, None]
        weight = node.weight / outgoing[:, None, None, None] * factor
        return replace(
            node,
            weight=weight.to(node.weight.dtype),
            bias=(node.bias / outgoing).to(node.bias.dtype),
        )
    if isinstance(node, Linear):
        return replace(node, weight=(node.weight * incoming).to(node.weight.dtype))
    if isinstance(node, Affine):
        return replace(node, shift=(node.shift / incoming).to(node.shift.dtype))
    return node
