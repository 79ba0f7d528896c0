"""Rewrite: the scale of the image's normalisation is folded into the stem's weights.

w * pad(s x + t) = (s w) * pad(x + t / s): one addition is left, of -255 mean to each pixel. It
cannot be folded into the stem's bias, since the stem pads with zeros after the normalisation:
pixels of value zero are black, whereas the padding is the mean.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from edgecmp.export.lowering.graph import IMAGE, Affine, Conv, Graph, Node

__all__ = ["fold_scale"]


def fold_scale(graph: Graph) -> Graph:
    """Moves the scale of an affine node on the image into the convolutions that read it.

    The graph is returned unchanged if it has no such node, or if other nodes read it.
    """
    first, *rest = graph.nodes
    if not isinstance(first, Affine) or first.inputs != (IMAGE,) or first.relu:
        return graph
    nodes: list[Node] = [
        replace(first, scale=torch.ones_like(first.scale), shift=first.shift / first.scale)
    ]
    for node in rest:
        if first.name in node.inputs:
            if not isinstance(node, Conv) or node.depthwise:
                return graph
            node = replace(node, weight=node.weight * first.scale[:, None, None])
        nodes.append(node)
    return graph.with_nodes(nodes)
