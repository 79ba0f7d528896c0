"""Simulation of an integer runtime in floats: every value is rounded to the steps of its scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from edgecmp.export.lowering import graph as ir
from edgecmp.export.lowering.graph import IMAGE, Graph, Node
from edgecmp.export.quantisation.qparams import Plan
from edgecmp.export.quantisation.scheme import Quantisation
from edgecmp.export.quantisation.weights import quantise_weight

__all__ = ["rounded", "rounded_weights", "simulate"]


def rounded(values: Tensor, quantisation: Quantisation) -> Tensor:
    """The nearest values that 8-bit integers of a scale can represent."""
    scale, zero = float(quantisation.scale[0]), quantisation.zero_point
    return ((values / scale).round() + zero).clamp(-128, 127).sub(zero) * scale


def rounded_weights(node: Node) -> Node:
    """A layer with its weights rounded to 8 bits; other nodes are returned unchanged."""
    if not isinstance(node, ir.Conv | ir.Linear):
        return node
    integers, scale = quantise_weight(node.weight.numpy(), 0)
    shape = (-1,) + (1,) * (node.weight.ndim - 1)
    weight = torch.from_numpy(integers).float() * torch.from_numpy(scale).reshape(shape)
    return replace(node, weight=weight)


def simulate(graph: Graph, plan: Plan, image: Tensor) -> Iterator[tuple[Node, Tensor]]:
    """Every node with its value, weights and values rounded as in integers.

    Args:
        graph: the quantised network.
        plan: the values in integers.
        image: the graph's input, (N, C, H, W).
    """
    values = {IMAGE: rounded(image, plan[IMAGE]) if IMAGE in plan else image}
    for node in graph:
        layer = rounded_weights(node).module()
        value = layer(*(values[name] for name in node.inputs))
        values[node.name] = rounded(value, plan[node.name]) if node.name in plan else value
        yield node, values[node.name]
