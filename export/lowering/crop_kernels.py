"""Rewrite: kernel taps that only ever read padding are removed.

On a small feature map the outer taps of a large kernel read padding at every position: on 2 x 2
pixels (the last stage of a 64-pixel input) a 7x7 kernel reads no more than its inner 3x3 taps do.
"""

from __future__ import annotations

from dataclasses import replace

from edgecmp.export.lowering.graph import Conv, Graph, Node

__all__ = ["crop_kernels"]


def crop_kernels(graph: Graph) -> Graph:
    """Crops each kernel symmetrically to the taps that read a pixel at some position."""
    shapes = graph.shapes()
    nodes: list[Node] = []
    for node in graph:
        if isinstance(node, Conv) and any(node.padding) and node.dilation == (1, 1):
            _, *sizes = shapes[node.inputs[0]]
            _, *outputs = shapes[node.name]
            high, wide = (
                _unread(node.weight.shape[2 + axis], node.padding[axis], node.stride, size, out)
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


def _unread(taps: int, padding: int, stride: int, size: int, outputs: int) -> int:
    """How many taps at each end only read padding, along one axis.

    Output i reads pixel i * stride - padding + k with tap k.
    """
    first = padding - (outputs - 1) * stride
    last = padding + size - 1
    return max(0, min(first, taps - 1 - last, padding))
