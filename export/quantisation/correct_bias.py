"""Bias correction: what rounding adds to the mean of a channel is taken from its bias.

Rounded weights and values shift the mean of each channel a little, in one direction for all images,
and the shifts add up from layer to layer. Layer by layer, the shift is measured on real images
against the network in floats and taken back (Nagel et al. 2019; measured here, not derived from
batch norms).
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
    """The graph with other biases.

    Args:
        graph: without batch norms.
        plan: the values in integers.
        image: (N, C, H, W) as the graph reads them; all are in memory at once.
    """
    unread = Counter(name for node in graph for name in node.inputs)
    exact: dict[str, Tensor] = {IMAGE: image}
    whole: dict[str, Tensor] = {IMAGE: _kept(IMAGE, image, plan)}
    nodes: list[Node] = []
    for node in graph:
        if isinstance(node, ir.Conv | ir.Linear):
            linear = replace(node, relu=False) if isinstance(node, ir.Conv) else node
            (name,) = node.inputs
            shift = rounded_weights(linear).module()(whole[name]) - linear.module()(exact[name])
            node = replace(node, bias=node.bias - shift.mean([0, *range(2, shift.ndim)]))
            exact[node.name] = _original(graph, node.name).module()(exact[name])
        else:
            exact[node.name] = node.module()(*(exact[name] for name in node.inputs))
        value = rounded_weights(node).module()(*(whole[name] for name in node.inputs))
        whole[node.name] = _kept(node.name, value, plan)
        nodes.append(node)
        for name in node.inputs:
            unread[name] -= 1
            if not unread[name]:
                del exact[name], whole[name]
    return graph.with_nodes(nodes)


def _kept(name: str, value: Tensor, plan: Plan) -> Tensor:
    return rounded(value, plan[name]) if name in plan else value


def _original(graph: Graph, name: str) -> Node:
    return next(node for node in graph if node.name == name)
