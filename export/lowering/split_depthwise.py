"""Rewrite: a depthwise convolution too large for the fast kernels becomes a sum of smaller ones.

XNNPACK has float depthwise kernels of 3, 4, 9 and 25 taps. A 7x7 kernel matches none of them and
runs at 7 GFLOP/s, a 5x5 kernel at 80. It equals a sum of dilated kernels with the same centre. Each
of these costs as much as the kernel that XNNPACK pads it to, so the 49 taps are distributed with
few gaps, and every addition costs a pass over memory. The best split depends on the number of
channels (x86, one thread, compared with three sets of columns, which take 75 taps and two
additions):

- few: the taps dominate, since each needs a pointer to every pixel. 50 taps, 1.3-1.6 times as fast.
- more: 59 taps and two additions, 1.25 times as fast.
- many: 25 taps need 100 bytes of weights per channel, which exceed the first-level cache. 53 taps
  in kernels of 9 and 4, 1.3-2.3 times as fast.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from edgecmp.export.lowering.graph import Add, Conv, Graph, Node

__all__ = ["MAX_TAPS", "split_depthwise", "split_for_integers"]

MAX_TAPS = 25
"""Taps of XNNPACK's largest depthwise kernel."""

Lines = tuple[int, ...]
"""Equally spaced rows or columns of a kernel, symmetric about its centre, like its padding."""

Split = tuple[tuple[Lines, Lines], ...]
"""Rows and columns of each small kernel; together they cover every tap."""

ALL = (0, 1, 2, 3, 4, 5, 6)
EVEN = (0, 2, 4, 6)
ODD = (1, 3, 5)
INNER = (1, 2, 3, 4, 5)

FEW: Split = (
    (INNER, INNER),
    ((0, 3, 6), (0, 3, 6)),
    ((0, 6), (1, 5)),
    ((0, 6), (2, 4)),
    ((1, 5), (0, 6)),
    ((2, 4), (0, 6)),
)
MORE: Split = ((ALL, ODD), (INNER, EVEN), ((0, 6), EVEN))
MANY: Split = (
    (ODD, ODD),
    (EVEN, (0, 6)),
    (EVEN, (1, 5)),
    (EVEN, (2, 4)),
    ((1, 5), EVEN),
    (EVEN, (3,)),
    ((3,), EVEN),
)
COLUMNS: Split = ((ALL, (0, 3, 6)), (ALL, (1, 5)), (ALL, (2, 4)))


def _fastest_split(channels: int) -> Split:
    """The split of a 7x7 kernel that is fastest for a number of channels."""
    if channels < 48:
        return FEW
    return MORE if channels < 224 else MANY


def split_for_integers(graph: Graph) -> Graph:
    """Splits each 7x7 depthwise convolution into three sets of columns.

    In integers each small convolution and each sum is rounded, so more of them, or terms that
    cancel each other, cost accuracy (mean cosine of the starter kit .998 with these, .997 and .996
    with the others).
    """
    return split_depthwise(graph, COLUMNS)


def split_depthwise(graph: Graph, split: Split | None = None) -> Graph:
    """Splits each 7x7 depthwise convolution by `split`, or by the fastest for its channels."""
    nodes: list[Node] = []
    for node in graph:
        if isinstance(node, Conv) and node.depthwise and node.dilation == (1, 1):
            channels, _, *size = node.weight.shape
            if size == [7, 7]:
                nodes.extend(_split(node, split or _fastest_split(channels)))
                continue
        nodes.append(node)
    return graph.with_nodes(nodes)


def _split(conv: Conv, split: Split) -> list[Node]:
    """The small convolutions and their additions; the first convolution has the bias.

    A tap that two kernels cover belongs to the first of them and is zero in the other.
    """
    remaining = conv.weight.clone()
    nodes: list[Node] = []
    total = ""
    for number, (rows, columns) in enumerate(split):
        grid = (..., torch.tensor(rows)[:, None], torch.tensor(columns))
        small = replace(
            conv,
            name=f"{conv.name}/{number}",
            weight=remaining[grid],
            bias=conv.bias if number == 0 else torch.zeros_like(conv.bias),
            padding=(conv.padding[0] - rows[0], conv.padding[1] - columns[0]),
            dilation=(_step(rows), _step(columns)),
            relu=False,
        )
        remaining[grid] = 0
        nodes.append(small)
        if number == 0:
            total = small.name
            continue
        last = number == len(split) - 1
        name = conv.name if last else f"{conv.name}/sum{number}"
        nodes.append(Add(name=name, inputs=(total, small.name), relu=conv.relu and last))
        total = name
    return nodes


def _step(lines: Lines) -> int:
    return lines[1] - lines[0] if len(lines) > 1 else 1
