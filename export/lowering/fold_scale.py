"""Rewrite: the scale of the image's normalisation disappears into the stem's weights.

w * pad(s x + t) = (s w) * pad(x + t / s): what stays is one addition, of -255 mean to each pixel.
It cannot go into the stem's bias, since the stem pads with zeros after the normalisation: pixels of
value zero are black, the padding is the mean.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from edgecmp.export.lowering.graph import IMAGE, Affine, Conv, Graph, Node

__all__ = ["fold_scale"]


def fold_scale(graph: Graph) -> Graph:
    """Moves the scale of an affine on the image into the convolutions that read it.

    The graph is returned as it is where anything else reads it.
    """
    first = graph.nodes[0]
    readers = [node for node in graph if first.name in node.inputs]
    if (
        not isinstance(first, Affine)
        or first.inputs != (IMAGE,)
        or first.relu
        or not all(isinstance(node, Conv) and not node.depthwise for node in readers)
    ):
        return graph
    nodes: list[Node] = [
        replace(first, scale=torch.ones_like(first.scale), shift=first.shift / first.scale)
    ]
    for node in graph.nodes[1:]:
        if node in readers and isinstance(node, Conv):
            node = replace(node, weight=node.weight * first.scale[:, None, None])
        nodes.append(node)
    return graph.with_nodes(nodes)
