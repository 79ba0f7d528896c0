"""A lowered network with some of its layers computed in float16, simulated in float32.

A layer in float16 rounds its inputs, its weights and its output, and adds up in float32, as the
reference runner does; an engine that adds up in float16, such as the Neural Engine, can be worse.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator

import torch
from torch import Tensor, nn

from edgecmp.export.lowering import LoweredNet
from edgecmp.export.lowering.graph import IMAGE

__all__ = ["HalfSimulation", "rounded"]


def rounded(tensor: Tensor) -> Tensor:
    """The values that float16 has for these, in float32; infinite beyond 65504."""
    return tensor.half().float()


class HalfSimulation:
    """Runs a network in float16, but for the nodes that are kept in float32."""

    def __init__(self, network: LoweredNet) -> None:
        self.graph = network.graph
        self._exact: dict[str, nn.Module] = {}
        self._half: dict[str, nn.Module] = {}
        self._last_reader = {name: node.name for node in network.graph for name in node.inputs}
        for node, layer in zip(network.graph, network.layers, strict=True):
            self._exact[node.name] = layer
            self._half[node.name] = node.to(torch.float16).to(torch.float32).module().eval()

    def values(
        self, images: Tensor, kept: Collection[str] | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """Each value by name as it is computed, from what the graph reads (N, 3, S, S).

        Args:
            images: float32.
            kept: nodes in float32; None: all.
        """
        values = {IMAGE: images}
        for node in self.graph:
            inputs = [values[name] for name in node.inputs]
            if kept is None or node.name in kept:
                value = self._exact[node.name](*inputs)
            else:
                value = rounded(self._half[node.name](*(rounded(given) for given in inputs)))
            values[node.name] = value
            for name in set(node.inputs):
                if self._last_reader[name] == node.name:
                    del values[name]
            yield node.name, value

    def run(self, images: Tensor, kept: Collection[str] | None = None) -> Tensor:
        """The embeddings (N, D); see `values`."""
        return deque(self.values(images, kept), maxlen=1)[0][1]
