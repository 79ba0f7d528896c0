"""Rewrite: channel shuffles are folded into the weights before and after them.

An even/odd split or a shuffle only renames channels. Each producer's output channels are sorted by
the nodes that read them, so that every reader takes contiguous slices; channels that pass through
several blocks are not copied on the way; the weights on both sides absorb the order. No shuffle and
no strided slice is left, and no arithmetic is added.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import groupby

from edgecmp.export.lowering.baseline_nodes import Activation, MaxPool, Shuffle
from edgecmp.export.lowering.graph import (
    IMAGE,
    Affine,
    Concat,
    Conv,
    Graph,
    Linear,
    Node,
    Pad,
    Shape,
    Take,
)

__all__ = ["fold_shuffle"]

Layout = list[int]
"""The original number of each channel of a value, in its new order in memory."""

Channel = tuple[str, int]
"""The node that computes a channel, and the channel's original number there."""

Wires = dict[str, list[Channel]]
"""The channels of each node that only renames."""

RENAMING = (Take, Concat, Shuffle)
"""Nodes that only rename channels."""

PER_CHANNEL = (Activation, Affine, MaxPool, Pad)
"""Nodes, besides depthwise convolutions, whose output channels are in the order of their input."""


class _NotFoldableError(Exception):
    """No weight can absorb the order of some channels."""


def fold_shuffle(graph: Graph) -> Graph:
    """Removes every channel shuffle; see the module.

    The graph is returned unchanged if no weight can absorb the order: a split of the graph's
    input, a sum of values in different orders, an output that is itself a split.
    """
    try:
        return _Folding(graph).run()
    except _NotFoldableError:
        return graph


class _Folding:
    """One pass over a graph, with the new order of the channels of each value so far."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.shapes = graph.shapes()
        self.wires = _trace_wires(graph, self.shapes)
        computing = [node for node in graph if node.name not in self.wires]
        read = dict.fromkeys(name for node in computing for name in node.inputs)
        self.uses = [name for name in read if name in self.wires]
        self.layouts: dict[str, Layout] = {IMAGE: list(range(graph.input_shape[0]))}

    def run(self) -> Graph:
        """The graph without shuffles.

        Raises:
            _NotFoldableError: it has one that cannot be folded.
        """
        orders = self._orders()
        nodes: list[Node] = []
        for node in self.graph:
            if node.name in self.uses:
                gathered, self.layouts[node.name] = _gather(
                    node.name, self.wires[node.name], self.layouts
                )
                nodes.extend(gathered)
            elif node.name not in self.wires:
                nodes.append(self._fold(node, orders))
        last = self.graph.nodes[-1].name
        if self.layouts.get(last) != self._original(last):
            raise _NotFoldableError
        return self.graph.with_nodes(nodes)

    def _fold(self, node: Node, orders: dict[str, Layout]) -> Node:
        """A node that computes, with its weights reordered; its layout is recorded."""
        layout = self.layouts[node.inputs[0]]
        if any(self.layouts[name] != layout for name in node.inputs):
            raise _NotFoldableError
        if isinstance(node, Linear) or (isinstance(node, Conv) and not node.depthwise):
            self.layouts[node.name] = orders.get(node.name, self._original(node.name))
        else:
            self.layouts[node.name] = layout
        return _reordered(node, layout, self.layouts[node.name])

    def _original(self, name: str) -> Layout:
        return list(range(self.shapes[name][0]))

    def _orders(self) -> dict[str, Layout]:
        """For each convolution that feeds `uses`, its output channels sorted by their readers.

        Raises:
            _NotFoldableError: a channel comes from a node that cannot be reordered, or from the
                graph's input.
        """
        by_name = {node.name: node for node in self.graph}
        readers: dict[str, defaultdict[int, list[int]]] = {}
        for number, use in enumerate(self.uses):
            for source, channel in self.wires[use]:
                node = by_name.get(source)
                while isinstance(node, PER_CHANNEL) or (isinstance(node, Conv) and node.depthwise):
                    node = by_name.get(node.inputs[0])
                if isinstance(node, RENAMING):
                    continue  # its order follows from the slices of its readers
                if not isinstance(node, Conv):
                    raise _NotFoldableError
                readers.setdefault(node.name, defaultdict(list))[channel].append(number)
        return {
            name: sorted(self._original(name), key=lambda c: (channels[c], c))
            for name, channels in readers.items()
        }


def _trace_wires(graph: Graph, shapes: dict[str, Shape]) -> Wires:
    """Follows each split, shuffle and concatenation back to the nodes that compute its channels."""
    wires: Wires = {}
    for node in graph:
        if isinstance(node, RENAMING):
            channels = [
                channel
                for name in node.inputs
                for channel in wires.get(name, [(name, c) for c in range(shapes[name][0])])
            ]
            if isinstance(node, Take):
                channels = channels[node.start : node.stop : node.step]
            elif isinstance(node, Shuffle):
                channels = [channels[index] for index in node.order(len(channels))]
            wires[node.name] = channels
    return wires


def _gather(
    name: str, wanted: list[Channel], layouts: dict[str, Layout]
) -> tuple[list[Node], Layout]:
    """The slices and the concatenation that collect channels, and the order of the result.

    Args:
        name: of the result.
        wanted: the channels, in their original order.
        layouts: the order of the channels of each value so far.
    """
    position = {channel: index for index, channel in enumerate(wanted)}
    slices: list[Take] = []
    pieces: list[str] = []
    layout: Layout = []
    for source, order in layouts.items():
        indices = [i for i, c in enumerate(order) if (source, c) in position]
        layout += [position[source, order[i]] for i in indices]
        for start, stop in _runs(indices):
            if stop - start == len(order):
                pieces.append(source)
            else:
                pieces.append(f"{name}/{source}[{start}:{stop}]")
                slices.append(Take(name=pieces[-1], inputs=(source,), start=start, stop=stop))
    if len(pieces) == 1 and slices:
        return [replace(slices[0], name=name)], layout
    return [*slices, Concat(name=name, inputs=tuple(pieces))], layout


def _runs(indices: list[int]) -> list[tuple[int, int]]:
    """(start, stop) of each run of consecutive indices."""
    runs = []
    for _, group in groupby(enumerate(indices), key=lambda pair: pair[1] - pair[0]):
        run = [index for _, index in group]
        runs.append((run[0], run[-1] + 1))
    return runs


def _reordered(node: Node, inputs: Layout, outputs: Layout) -> Node:
    """The node with its weights in the order of its input's and its output's channels."""
    if isinstance(node, Conv):
        weight = node.weight[outputs]
        if not node.depthwise:
            weight = weight[:, inputs]
        return replace(node, weight=weight, bias=node.bias[outputs])
    if isinstance(node, Affine):
        return replace(node, scale=node.scale[outputs], shift=node.shift[outputs])
    if isinstance(node, Linear):
        return replace(node, weight=node.weight[:, inputs])
    return node
