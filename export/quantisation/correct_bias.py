"""Bias correction: the shift that rounding causes in a channel's mean is subtracted from its bias.

Rounded weights and values shift the mean of each channel slightly, in the same direction for all
images, and the shifts accumulate from layer to layer. Layer by layer, the shift is measured on real
images against the network in floats and subtracted (Nagel et al. 2019, who derive it from batch
norms).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import torch
from torch import Tensor

from edgecmp.export.lowering import graph as ir
from edgecmp.export.lowering.graph import IMAGE, Graph, Node
from edgecmp.export.quantisation.fake_quant import rounded, rounded_weights
from edgecmp.export.quantisation.qparams import Plan

__all__ = ["correct_bias"]


@torch.no_grad()
def correct_bias(graph: Graph, plan: Plan, image: Tensor) -> Graph:
    """The graph with corrected biases.

    Args:
        graph: without batch norms.
        plan: the values in integers.
        image: the graph's input, (N, C, H, W); all images are in memory at once.
    """
    unread = Counter(name for node in graph for name in node.inputs)
    exact: dict[str, Tensor] = {IMAGE: image}
    quantised: dict[str, Tensor] = {IMAGE: _rounded(IMAGE, image, plan)}
    nodes: list[Node] = []
    for node in graph:
        exact[node.name] = node.module()(*(exact[name] for name in node.inputs))
        if isinstance(node, ir.Conv | ir.Linear):
            (name,) = node.inputs
            node = replace(node, bias=node.bias - _shift(node, quantised[name], exact[name]))
        value = rounded_weights(node).module()(*(quantised[name] for name in node.inputs))
        quantised[node.name] = _rounded(node.name, value, plan)
        nodes.append(node)
        for name in node.inputs:
            unread[name] -= 1
            if not unread[name]:
                del exact[name], quantised[name]
    return graph.with_nodes(nodes)


def _shift(node: ir.Conv | ir.Linear, quantised: Tensor, exact: Tensor) -> Tensor:
    """(C,) mean difference of a layer's sums, before its ReLU, between integers and floats.

    Args:
        node: the layer.
        quantised: its input as the plan stores it.
        exact: its input in floats.
    """
    linear = replace(node, relu=False) if isinstance(node, ir.Conv) else node
    shift: Tensor = rounded_weights(linear).module()(quantised) - linear.module()(exact)
    return shift.mean([0, *range(2, shift.ndim)])


def _rounded(name: str, value: Tensor, plan: Plan) -> Tensor:
    """A value as the plan stores it."""
    return rounded(value, plan[name]) if name in plan else value
