"""Rewrite: taps that never see the image are cut off.

On a small feature map the outer taps of a large kernel only ever meet the padding: on 2 x 2 pixels
(the last stage of a 64-pixel input) a 7x7 kernel reaches nothing that its inner 3x3 does not.
"""

from __future__ import annotations

from dataclasses import replace

from edgecmp.export.lowering.graph import Conv, Graph, Node

__all__ = ["crop_kernels"]


def crop_kernels(graph: Graph) -> Graph:
    """Cuts each kernel, on all sides alike, to the taps that meet a pixel somewhere."""
    shapes = graph.shapes()
    nodes: list[Node] = []
    for node in graph:
        if isinstance(node, Conv) and any(node.padding) and node.dilation == (1, 1):
            _, *sizes = shapes[node.inputs[0]]
            _, *outputs = shapes[node.name]
            high, wide = (
                _unseen(node.weight.shape[2 + axis], node.padding[axis], node.stride, size, out)
                for axis, (size, out) in enumerate(zip(sizes, outputs, strict=True))
            )
            _, _, rows, columns = node.weight.shape
            node = replace(
                node,
                weight=node.weight[:, :, high : rows - high, wide : columns - wide].contiguous(),
                padding=(node.padding[0] - high, node.padding[1] - wide),
            )
        nodes.append(node)
    return graph.with_nodes(nodes)


def _unseen(taps: int, padding: int, stride: int, size: int, outputs: int) -> int:
    """How many taps at each end meet padding alone, along one axis.

    Output i lays tap k on pixel i * stride - padding + k. So tap k meets a pixel if it does at the
    first or at the last output, or between.
    """
    first = padding - (outputs - 1) * stride
    last = padding + size - 1
    return max(0, min(first, taps - 1 - last, padding))
