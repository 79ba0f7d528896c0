"""Rewrite: a depthwise convolution too large for the fast kernels becomes a sum of smaller ones.

XNNPACK has no float depthwise kernel above 25 taps: a 7x7 runs at 7 GFLOP/s where a 5x5 reaches
80 (1864 against 78 us at 160 x 28 x 28, one x86 core). The columns of the kernel are dealt to
dilated convolutions that share its centre, so that padding stays symmetric and the sum is exact.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from edgecmp.export.lowering.graph import Add, Conv, Graph, Node

__all__ = ["MAX_TAPS", "split_depthwise"]

MAX_TAPS = 25
"""Taps of the largest fast depthwise kernel."""

COLUMNS = {7: ((0, 3, 6), (1, 5), (2, 4))}
"""For a kernel of that width: equally spaced columns, each set symmetric about the centre."""


def split_depthwise(graph: Graph) -> Graph:
    """Splits each 7x7 depthwise convolution into 7x3, 7x2 and 7x2 of dilation 3, 4 and 2."""
    nodes: list[Node] = []
    for node in graph:
        columns = COLUMNS.get(node.weight.shape[3]) if isinstance(node, Conv) else None
        if isinstance(node, Conv) and node.depthwise and columns and node.dilation == (1, 1):
            nodes.extend(_split(node, columns))
        else:
            nodes.append(node)
    return graph.with_nodes(nodes)


def _split(conv: Conv, columns: tuple[tuple[int, ...], ...]) -> list[Node]:
    """The convolutions, each over its columns, and the additions; the first carries the bias."""
    nodes: list[Node] = []
    total = ""
    for number, chosen in enumerate(columns):
        part = replace(
            conv,
            name=f"{conv.name}/{number}",
            weight=conv.weight[:, :, :, list(chosen)],
            bias=conv.bias if number == 0 else torch.zeros_like(conv.bias),
            padding=(conv.padding[0], conv.padding[1] - chosen[0]),
            dilation=(1, chosen[1] - chosen[0]),
            relu=False,
        )
        nodes.append(part)
        if number == 0:
            total = part.name
            continue
        last = number == len(columns) - 1
        name = conv.name if last else f"{conv.name}/sum{number}"
        nodes.append(Add(name=name, inputs=(total, part.name), relu=conv.relu and last))
        total = name
    return nodes
