"""A lowered network with some of its layers computed in float16, simulated in float32.

A layer in float16 rounds its inputs, its weights and its output, and accumulates in float32, like
the reference runner; an engine that accumulates in float16, such as the Neural Engine, can be less
accurate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator

import torch
from torch import Tensor, nn

from edgecmp.export.lowering import LoweredNet
from edgecmp.export.lowering.graph import IMAGE

__all__ = ["Fp16Simulation", "rounded"]


def rounded(tensor: Tensor) -> Tensor:
    """The values rounded to float16, as float32; infinite beyond 65504."""
    return tensor.half().float()


class Fp16Simulation:
    """Runs a network in float16, except for the nodes that are kept in float32."""

    def __init__(self, network: LoweredNet) -> None:
        self.graph = network.graph
        self._float32: dict[str, nn.Module] = {}
        self._float16: dict[str, nn.Module] = {}
        self._last_reader = {name: node.name for node in network.graph for name in node.inputs}
        for node, layer in zip(network.graph, network.layers, strict=True):
            self._float32[node.name] = layer
            self._float16[node.name] = node.to(torch.float16).to(torch.float32).module().eval()

    def values(
        self, images: Tensor, kept: Collection[str] | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """The name and content of each value, in the order of the graph.

        Args:
            images: the graph's input, (N, 3, S, S) float32.
            kept: nodes in float32; None: all.
        """
        values = {IMAGE: images}
        for node in self.graph:
            inputs = [values[name] for name in node.inputs]
            if kept is None or node.name in kept:
                value = self._float32[node.name](*inputs)
            else:
                value = rounded(self._float16[node.name](*(rounded(tensor) for tensor in inputs)))
            values[node.name] = value
            for name in set(node.inputs):
                if self._last_reader[name] == node.name:
                    del values[name]
            yield node.name, value

    def run(self, images: Tensor, kept: Collection[str] | None = None) -> Tensor:
        """The embeddings (N, D); the arguments are those of `values`."""
        return deque(self.values(images, kept), maxlen=1)[0][1]
