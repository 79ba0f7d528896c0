"""The state of a walk over a torch.fx graph: the nodes so far and the shapes of their values."""

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
    """A value of the graph, in place of the tensor of the traced module."""

    name: str


class Tracing:
    """Collects the nodes that the entries of `OPERATIONS` append.

    Attributes:
        module: the network that is traced.
        nodes: the nodes so far, by the name of the value that each computes.
        shapes: (C, H, W) or (C,) of each value.
        name: of the value that the current operation computes.
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
        """The error about the current operation; `what` names it ("A slice of a tensor")."""
        where = f" ({self.name})" if self.name else ""
        return UserError(
            f"{what} cannot be lowered exactly{where}.",
            "Remove it, or build the network from layers that the lowering supports.",
        )

    def append(self, node: Node) -> Value:
        """Adds a node; returns the value that it computes."""
        self.nodes[node.name] = node
        self.shapes[node.name] = node.shape(*(self.shapes[name] for name in node.inputs))
        return Value(node.name)

    def is_map(self, value: Value) -> bool:
        """Whether a value is a feature map (C, H, W) rather than a vector (C,)."""
        return len(self.shapes[value.name]) == 3
