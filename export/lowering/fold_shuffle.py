"""Rewrite: channel shuffles disappear into the weights around them.

An even/odd split or a shuffle only renames channels. Each producer's output channels are sorted by
the place that will read them, so that every such place takes contiguous slices; channels that pass
through several blocks are not copied on the way; the weights on both sides absorb the order. No
shuffle and no strided slice is left, and no arithmetic is added.
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
    Take,
)

__all__ = ["fold_shuffle"]

Layout = list[int]
"""The original number of each channel of a value, in the order it now lies in memory."""

Wires = dict[str, list[tuple[str, int]]]
"""For each node that renames: which nodes compute its channels, and their numbers there."""

RENAMING = (Take, Concat, Shuffle)
"""Nodes that only say where a channel is found."""

PER_CHANNEL = (Activation, Affine, MaxPool, Pad)
"""Nodes, besides depthwise convolutions, that give each channel in the place they read it."""


def fold_shuffle(graph: Graph) -> Graph:
    """Removes every channel shuffle; see the module.

    The graph is returned as it is where no weight can absorb the order: a split of the graph's
    input, a sum of values that now lie differently, an output that is itself a split.
    """
    wires = _trace_wires(graph)
    uses = [name for node in graph if node.name not in wires for name in node.inputs]
    uses = [name for name in dict.fromkeys(uses) if name in wires]
    orders = _orders(graph, wires, uses)
    if orders is None:
        return graph
    layouts: dict[str, Layout] = {IMAGE: list(range(graph.input_shape[0]))}
    shapes = graph.shapes()
    nodes: list[Node] = []
    for node in graph:
        if node.name in uses:
            gathered, layouts[node.name] = _gather(node.name, wires[node.name], layouts)
            nodes.extend(gathered)
        elif node.name not in wires:
            if any(layouts[name] != layouts[node.inputs[0]] for name in node.inputs):
                return graph
            inherited = layouts[node.inputs[0]]
            keeps = not (
                isinstance(node, Linear) or (isinstance(node, Conv) and not node.depthwise)
            )
            free = orders.get(node.name, list(range(shapes[node.name][0])))
            layouts[node.name] = inherited if keeps else free
            nodes.append(_absorb(node, inherited, layouts[node.name]))
    last = graph.nodes[-1].name
    if layouts.get(last) != list(range(shapes[last][0])):
        return graph
    return graph.with_nodes(nodes)


def _trace_wires(graph: Graph) -> Wires:
    """Follows each split, shuffle and concatenation back to the nodes that compute its channels."""
    wires: Wires = {}
    shapes = graph.shapes()
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
                channels = [channels[place] for place in node.order(len(channels))]
            wires[node.name] = channels
    return wires


def _orders(graph: Graph, wires: Wires, uses: list[str]) -> dict[str, Layout] | None:
    """For each convolution that feeds `uses`, its output channels sorted by who reads them.

    None if a channel comes from something that cannot be reordered, such as the graph's input.
    """
    by_name = {node.name: node for node in graph}
    readers: dict[str, defaultdict[int, list[int]]] = {}
    for number, use in enumerate(uses):
        for source, channel in wires[use]:
            node = by_name.get(source)
            while isinstance(node, PER_CHANNEL) or (isinstance(node, Conv) and node.depthwise):
                node = by_name.get(node.inputs[0])
            if isinstance(node, RENAMING):
                continue  # it lies as its readers' slices lie
            if not isinstance(node, Conv):
                return None
            readers.setdefault(node.name, defaultdict(list))[channel].append(number)
    shapes = graph.shapes()
    return {
        name: sorted(range(shapes[name][0]), key=lambda c: (channels[c], c))
        for name, channels in readers.items()
    }


def _gather(
    name: str, wanted: list[tuple[str, int]], layouts: dict[str, Layout]
) -> tuple[list[Node], Layout]:
    """The slices and the concatenation that bring `wanted` together, and how the result lies."""
    position = {channel: index for index, channel in enumerate(wanted)}
    nodes: list[Node] = []
    parts: list[str] = []
    layout: Layout = []
    for source in layouts:
        places = [i for i, c in enumerate(layouts[source]) if (source, c) in position]
        layout += [position[source, layouts[source][i]] for i in places]
        for _, run in groupby(enumerate(places), key=lambda pair: pair[1] - pair[0]):
            start, *_, stop = [place for _, place in run] * 2
            if stop + 1 - start == len(layouts[source]):
                parts.append(source)
                continue
            parts.append(f"{name}/{source}[{start}:{stop + 1}]")
            nodes.append(Take(name=parts[-1], inputs=(source,), start=start, stop=stop + 1))
    if len(parts) == 1 and nodes:
        return [replace(nodes[0], name=name)], layout
    return [*nodes, Concat(name=name, inputs=tuple(parts))], layout


def _absorb(node: Node, inputs: Layout, outputs: Layout) -> Node:
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
