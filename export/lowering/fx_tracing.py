"""The state of a walk over a torch.fx graph: the nodes written so far and their shapes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from edgecmp.errors import UserError
from edgecmp.export.lowering.graph import IMAGE, Node, Shape
from edgecmp.export.lowering.trace_query import normalise
from edgecmp.preprocessing import Preprocessing

__all__ = ["Tracing", "Value"]


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the graph in the place of a tensor."""

    name: str


class Tracing:
    """Collects the nodes that the entries of `OPERATIONS` append.

    Attributes:
        module: the network that is traced.
        nodes: the nodes so far, by the name of the value that each computes.
        shapes: (C, H, W) or (C,) of each value.
        name: of the value that the operation at hand computes.
        image: the value that the network reads.
    """

    def __init__(self, module: nn.Module, shape: Shape, pixels: Preprocessing | None) -> None:
        self.module = module
        self.input_shape = shape
        self.reads_pixels = pixels is not None
        self.nodes: dict[str, Node] = {}
        self.shapes: dict[str, Shape] = {IMAGE: shape}
        self.name = ""
        self.image = IMAGE
        if pixels is not None:
            first: list[Node] = []
            self.image = normalise(first, pixels)
            self.append(first[0])

    def refuse(self, what: str) -> UserError:
        """The error about the operation at hand."""
        where = f" ({self.name})" if self.name else ""
        return UserError(
            f"{what} is nothing that the lowering can say exactly{where}.",
            "Leave it out, or build the network from layers that it knows.",
        )

    def append(self, node: Node) -> Value:
        """Adds a node; returns the value it gives."""
        self.nodes[node.name] = node
        self.shapes[node.name] = node.shape(*(self.shapes[name] for name in node.inputs))
        return Value(node.name)

    def is_map(self, value: Value) -> bool:
        """Whether it has pixels."""
        return len(self.shapes[value.name]) == 3
