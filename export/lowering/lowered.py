"""LoweredNet: a lowered network, as a graph for the writers and as a torch module."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from edgecmp.export.lowering.graph import IMAGE, Graph, Node

__all__ = ["LoweredNet"]


class LoweredNet(nn.Module):
    """A graph as a torch module in evaluation mode.

    Attributes:
        graph: the nodes; their tensors are the module's parameters.
        layers: one torch module per node.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.layers = nn.ModuleList(node.module() for node in self.graph)
        self.eval().requires_grad_(False)

    @property
    def input_size(self) -> int:
        """Height and width of the images, in pixels."""
        return self.graph.input_shape[-1]

    def forward(self, image: Tensor) -> Tensor:
        """Images (N, 3, H, W) to embeddings (N, D) of unit length; see `Graph.reads_pixels`."""
        result = image
        for _, value in self.each(image):
            result = value
        return result

    def each(self, image: Tensor) -> Iterator[tuple[Node, Tensor]]:
        """Every node with its value for these images, in order."""
        values: dict[str, Tensor] = {IMAGE: image}
        for node, layer in zip(self.graph, self.layers, strict=True):
            values[node.name] = layer(*(values[name] for name in node.inputs))
            yield node, values[node.name]
