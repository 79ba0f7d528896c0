"""Rewrite: a depthwise convolution too large for the fast kernels becomes a sum of smaller ones.

XNNPACK has float depthwise kernels of 3, 4, 9 and 25 taps. A 7x7 kernel fits none and runs at
7 GFLOP/s where a 5x5 reaches 80. It is exactly a sum of dilated kernels that share its centre. Each
of them costs as much as the kernel it is padded to, so the 49 taps are dealt out with few gaps, and
every addition costs a pass over memory. What is best depends on the channels (x86, one thread,
against three sets of columns, which take 75 taps and two additions):

- few: what counts is the taps, since each brings a pointer to every pixel. 50 taps, 1.3-1.6 times
  as fast.
- more: 59 taps and two additions, 1.25 times as fast.
- many: 25 taps hold 100 bytes of weights a channel, which no longer fit the first-level cache.
  53 taps in kernels of 9 and 4, 1.3-2.3 times as fast.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from edgecmp.export.lowering.graph import Add, Conv, Graph, Node

__all__ = ["MAX_TAPS", "parts_of", "split_depthwise", "split_for_integers"]

MAX_TAPS = 25
"""Taps of the largest fast depthwise kernel."""

Lines = tuple[int, ...]
"""Equally spaced rows or columns of a kernel, symmetric about its centre: padding stays so too."""

Parts = tuple[tuple[Lines, Lines], ...]
"""Rows and columns of each small kernel; together they hold every tap."""

ALL = (0, 1, 2, 3, 4, 5, 6)
EVEN = (0, 2, 4, 6)
ODD = (1, 3, 5)
INNER = (1, 2, 3, 4, 5)

FEW: Parts = (
    (INNER, INNER),
    ((0, 3, 6), (0, 3, 6)),
    ((0, 6), (1, 5)),
    ((0, 6), (2, 4)),
    ((1, 5), (0, 6)),
    ((2, 4), (0, 6)),
)
MORE: Parts = ((ALL, ODD), (INNER, EVEN), ((0, 6), EVEN))
MANY: Parts = (
    (ODD, ODD),
    (EVEN, (0, 6)),
    (EVEN, (1, 5)),
    (EVEN, (2, 4)),
    ((1, 5), EVEN),
    (EVEN, (3,)),
    ((3,), EVEN),
)
COLUMNS: Parts = ((ALL, (0, 3, 6)), (ALL, (1, 5)), (ALL, (2, 4)))


def parts_of(channels: int) -> Parts:
    """The parts of a 7x7 kernel that are fastest for that many channels."""
    if channels < 48:
        return FEW
    return MORE if channels < 224 else MANY


def split_for_integers(graph: Graph) -> Graph:
    """Splits each 7x7 depthwise convolution into three sets of columns.

    In integers each part and each sum is rounded: more parts, or parts that cancel each other, cost
    accuracy (mean cosine of the starter kit .998 with these, .997 and .996 with the others).
    """
    return split_depthwise(graph, COLUMNS)


def split_depthwise(graph: Graph, parts: Parts | None = None) -> Graph:
    """Splits each 7x7 depthwise convolution into `parts`, or into the fastest for its channels."""
    nodes: list[Node] = []
    for node in graph:
        if isinstance(node, Conv) and node.depthwise and node.dilation == (1, 1):
            channels, _, *size = node.weight.shape
            if size == [7, 7]:
                nodes.extend(_split(node, parts or parts_of(channels)))
                continue
        nodes.append(node)
    return graph.with_nodes(nodes)


def _split(conv: Conv, parts: Parts) -> list[Node]:
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
