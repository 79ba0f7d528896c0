"""Rewrite: a depthwise convolution too large for the fast kernels becomes a sum of smaller ones.

XNNPACK has float depthwise kernels of 3, 4, 9 and 25 taps. A 7x7 kernel fits none and runs at
7 GFLOP/s where a 5x5 reaches 80. It is exactly a sum of dilated kernels that share its centre; each
costs what the kernel it is padded to costs, so the 49 taps are dealt out with little padding
(50-57 slots; three sets of columns would take 75). A 25-tap kernel holds 100 bytes of weights a
channel, and from about 224 channels on they leave the first-level cache: there nine taps at a time
are faster, for 5x5 kernels as well.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from edgecmp.export.lowering.graph import Add, Conv, Graph, Node

__all__ = ["MAX_TAPS", "split_depthwise"]

MAX_TAPS = 25
"""Taps of the largest fast depthwise kernel."""

MANY_CHANNELS = 224
"""From here on kernels of 9 taps are faster than those of 25."""

Lines = tuple[int, ...]
"""Equally spaced rows or columns of a kernel, symmetric about its centre: padding stays so too."""

FEW: dict[int, tuple[tuple[Lines, Lines], ...]] = {
    7: (
        ((1, 2, 3, 4, 5), (1, 2, 3, 4, 5)),
        ((0, 3, 6), (0, 3, 6)),
        ((0, 6), (1, 5)),
        ((0, 6), (2, 4)),
        ((1, 5), (0, 6)),
        ((2, 4), (0, 6)),
    ),
}
"""By kernel size, the rows and columns of each part where there are few channels."""

MANY: dict[int, tuple[tuple[Lines, Lines], ...]] = {
    5: (
        ((0, 2, 4), (0, 2, 4)),
        ((1, 2, 3), (1, 2, 3)),
        ((0, 4), (1, 3)),
        ((1, 3), (0, 4)),
    ),
    7: (
        ((1, 3, 5), (1, 3, 5)),
        ((0, 2, 4, 6), (0, 6)),
        ((0, 2, 4, 6), (1, 5)),
        ((0, 2, 4, 6), (2, 4)),
        ((1, 5), (0, 2, 4, 6)),
        ((0, 2, 4, 6), (3,)),
        ((3,), (0, 2, 4, 6)),
    ),
}
"""The same from `MANY_CHANNELS` on."""


def split_depthwise(graph: Graph) -> Graph:
    """Splits each 7x7 depthwise convolution, and those of 5x5 with many channels."""
    nodes: list[Node] = []
    for node in graph:
        if isinstance(node, Conv) and node.depthwise and node.dilation == (1, 1):
            channels, _, height, width = node.weight.shape
            parts = (MANY if channels >= MANY_CHANNELS else FEW).get(width)
            if parts is not None and height == width:
                nodes.extend(_split(node, parts))
                continue
        nodes.append(node)
    return graph.with_nodes(nodes)


def _split(conv: Conv, parts: tuple[tuple[Lines, Lines], ...]) -> list[Node]:
    """The convolutions and the additions; the first part carries the bias.

    A tap that two parts could hold goes to the first of them; the other has a zero there.
    """
    left = conv.weight.clone()
    nodes: list[Node] = []
    total = ""
    for number, (rows, columns) in enumerate(parts):
        grid = (..., torch.tensor(rows)[:, None], torch.tensor(columns))
        part = replace(
            conv,
            name=f"{conv.name}/{number}",
            weight=left[grid],
            bias=conv.bias if number == 0 else torch.zeros_like(conv.bias),
            padding=(conv.padding[0] - rows[0], conv.padding[1] - columns[0]),
            dilation=(_step(rows), _step(columns)),
            relu=False,
        )
        left[grid] = 0
        nodes.append(part)
        if number == 0:
            total = part.name
            continue
        last = number == len(parts) - 1
        name = conv.name if last else f"{conv.name}/sum{number}"
        nodes.append(Add(name=name, inputs=(total, part.name), relu=conv.relu and last))
        total = name
    return nodes


def _step(lines: Lines) -> int:
    return lines[1] - lines[0] if len(lines) > 1 else 1
