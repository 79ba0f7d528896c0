"""Rewrite: a batch norm is folded into the convolution or linear layer before it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from edgecmp.export.lowering.graph import Affine, Conv, Graph, Linear, Node

__all__ = ["fold_bn"]


def fold_bn(graph: Graph) -> Graph:
    """scale * (w * x + b) + shift = (scale w) * x + (scale b + shift), for each output channel.

    A layer whose output has other readers keeps its batch norm.
    """
    readers = Counter(name for node in graph for name in node.inputs)
    nodes: dict[str, Node] = {}
    for node in graph:
        source = nodes.get(node.inputs[0])
        if isinstance(node, Affine) and source is not None and readers[source.name] == 1:
            folded = _folded(source, node)
            if folded is not None:
                del nodes[source.name]
                node = folded
        nodes[node.name] = node
    return graph.with_nodes(list(nodes.values()))


def _folded(layer: Node, norm: Affine) -> Node | None:
    """A layer and its batch norm in one, under the norm's name; None if that is impossible."""
    if isinstance(layer, Conv) and not layer.relu:
        weight = layer.weight * norm.scale[:, None, None, None]
        bias = layer.bias * norm.scale + norm.shift
        return replace(layer, name=norm.name, weight=weight, bias=bias, relu=norm.relu)
    if isinstance(layer, Linear) and not norm.relu:
        weight = layer.weight * norm.scale[:, None]
        bias = layer.bias * norm.scale + norm.shift
        return replace(layer, name=norm.name, weight=weight, bias=bias)
    return None
