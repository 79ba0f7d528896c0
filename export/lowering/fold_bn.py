"""Rewrite: a batch norm disappears into the convolution or linear layer before it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from edgecmp.export.lowering.graph import Affine, Conv, Graph, Linear, Node

__all__ = ["fold_bn"]


def fold_bn(graph: Graph) -> Graph:
    """scale * (w * x + b) + shift = (scale w) * x + (scale b + shift), for each output channel.

    What anything else reads keeps its batch norm.
    """
    readers = Counter(name for node in graph for name in node.inputs)
    nodes: dict[str, Node] = {}
    for node in graph:
        source = nodes.get(node.inputs[0])
        if (
            isinstance(node, Affine)
            and isinstance(source, Conv)
            and not source.relu
            and readers[source.name] == 1
        ):
            del nodes[source.name]
            nodes[node.name] = replace(
                source,
                name=node.name,
                weight=source.weight * node.scale[:, None, None, None],
                bias=source.bias * node.scale + node.shift,
                relu=node.relu,
            )
        elif (
            isinstance(node, Affine)
            and isinstance(source, Linear)
            and not node.relu
            and readers[source.name] == 1
        ):
            del nodes[source.name]
            nodes[node.name] = replace(
                source,
                name=node.name,
                weight=source.weight * node.scale[:, None],
                bias=source.bias * node.scale + node.shift,
            )
        else:
            nodes[node.name] = node
    return graph.with_nodes(list(nodes.values()))
