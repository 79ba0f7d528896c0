"""Which channels of a graph must be divided by the same number: those that are added together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecmp.export.lowering.baseline_nodes import Activation, Multiply, Shuffle
from edgecmp.export.lowering.graph import (
    IMAGE,
    Add,
    Concat,
    Conv,
    Graph,
    Linear,
    Node,
    Normalise,
    Take,
)

__all__ = ["FIXED", "Groups", "channel_groups"]

FIXED = 0
"""The group of all channels that cannot be divided."""

Groups = NDArray[np.int64]
"""The group of each channel of a value, (C,)."""


def channel_groups(graph: Graph) -> dict[str, Groups]:
    """The group of every channel of every value, by name."""
    grouping = _Grouping()
    found: dict[str, Groups] = {IMAGE: np.full(graph.input_shape[0], FIXED, np.int64)}
    for node in graph:
        found[node.name] = grouping.output(node, [found[name] for name in node.inputs])
    roots = grouping.roots()
    return {name: roots[groups] for name, groups in found.items()}


class _Grouping:
    """Groups of channels that are joined as the graph is followed (union-find)."""

    def __init__(self) -> None:
        self._parents = [FIXED]

    def output(self, node: Node, inputs: list[Groups]) -> Groups:
        """The groups of a node's channels, given those of its inputs; some of them are joined."""
        groups = inputs[0]
        if isinstance(node, Conv):
            return self._new(len(node.bias))
        if isinstance(node, Linear):
            return np.full(len(node.bias), FIXED, np.int64)
        if isinstance(node, Concat):
            return np.concatenate(inputs)
        if isinstance(node, Take):
            return groups[node.start : node.stop : node.step]
        if isinstance(node, Shuffle):
            return groups[node.order(len(groups))]
        if isinstance(node, Add):
            self._join(*inputs)
        elif isinstance(node, Multiply):
            self._fix(inputs[1])
        elif isinstance(node, Normalise) or (isinstance(node, Activation) and node.kind != "relu"):
            self._fix(groups)
        return groups

    def roots(self) -> Groups:
        """The final group of each group."""
        return np.array([self._root(group) for group in range(len(self._parents))])

    def _new(self, count: int) -> Groups:
        groups = np.arange(len(self._parents), len(self._parents) + count)
        self._parents.extend(groups.tolist())
        return groups

    def _root(self, group: int) -> int:
        parents = self._parents
        while parents[group] != group:
            parents[group] = parents[parents[group]]
            group = parents[group]
        return group

    def _join(self, first: Groups, second: Groups) -> None:
        for pair in zip(first.tolist(), second.tolist(), strict=True):
            low, high = sorted(map(self._root, pair))
            self._parents[high] = low  # `FIXED` is the lowest, so it stays a root

    def _fix(self, groups: Groups) -> None:
        self._join(groups, np.full_like(groups, FIXED))
