"""The nodes that other people's networks need and ours do not; see `graph`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from edgecmp.export.lowering import layers
from edgecmp.export.lowering.graph import Add, Affine, Conv, Graph, Linear, Node, Shape

__all__ = [
    "ACTIVATIONS",
    "EXTRA",
    "Activation",
    "Kind",
    "MaxPool",
    "Multiply",
    "Shuffle",
    "clipped_at_once",
    "never_negative",
]

Kind = Literal["relu", "relu6", "hswish", "hsigmoid"]

ACTIVATIONS: dict[Kind, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hswish": nn.Hardswish,
    "hsigmoid": nn.Hardsigmoid,
}
"""x clipped to 0..inf, to 0..6; x * hsigmoid(x); (x + 3 clipped to 0..6) / 6."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Activation(Node):
    """A function of each value by itself; a ReLU only where no `relu` of a node can say it."""

    kind: Kind

    def module(self) -> nn.Module:
        return ACTIVATIONS[self.kind]()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MaxPool(Node):
    """The largest value of each window; padding, in pixels on every side, never wins.

    `ceil_mode`: a last window that hangs over the end counts too, as in torch.
    """

    kernel: int
    stride: int
    padding: int = 0
    ceil_mode: bool = False

    def shape(self, *inputs: Shape) -> Shape:
        channels, *sizes = inputs[0]
        return channels, *(self._windows(size) for size in sizes)

    def _windows(self, size: int) -> int:
        room = size + 2 * self.padding - self.kernel
        if not self.ceil_mode:
            return room // self.stride + 1
        windows = -(-room // self.stride) + 1
        starts_outside = (windows - 1) * self.stride >= size + self.padding
        return windows - starts_outside

    def amounts(self, shape: Shape) -> tuple[int, int, int, int]:
        """(top, bottom, left, right) pixels beyond a map of `shape` that windows reach."""
        ends = (
            max(0, (self._windows(size) - 1) * self.stride + self.kernel - size - self.padding)
            for size in shape[1:]
        )
        bottom, right = ends
        return self.padding, bottom, self.padding, right

    def module(self) -> nn.Module:
        return nn.MaxPool2d(self.kernel, self.stride, self.padding, ceil_mode=self.ceil_mode)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Multiply(Node):
    """A feature map (C, H, W) with each channel multiplied by a value of a vector (C,)."""

    def module(self) -> nn.Module:
        return layers.Multiply()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Shuffle(Node):
    """Channels of `groups` equal groups taken in turns, as ShuffleNet does."""

    groups: int

    def order(self, channels: int) -> list[int]:
        """For each channel it gives, the channel that it reads."""
        size = channels // self.groups
        return [
            channel % self.groups * size + channel // self.groups for channel in range(channels)
        ]

    def module(self) -> nn.Module:
        return layers.Shuffle(self.groups)


EXTRA = (Activation, MaxPool, Multiply, Shuffle)
"""All of them."""


CLIPS: tuple[Kind, ...] = ("relu", "relu6")
"""What the operator before can do on the way, in runtimes that know fused activations."""


def clipped_at_once(graph: Graph) -> dict[str, Activation]:
    """The activations that the operator before them can do, by the name of its node."""
    nodes = {node.name: node for node in graph}
    readers: dict[str, list[Node]] = {}
    for node in graph:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    found: dict[str, Activation] = {}
    for name, (node, *others) in readers.items():
        source = nodes.get(name)
        if others or not isinstance(node, Activation) or node.kind not in CLIPS:
            continue
        if isinstance(source, Linear) or (
            isinstance(source, Conv | Affine | Add) and not source.relu
        ):
            found[name] = node
    return found


def never_negative(graph: Graph, name: str) -> bool:
    """Whether a ReLU was the last to touch a value, so that zeros around it are below all of it."""
    for node in graph:
        if node.name == name:
            if isinstance(node, Activation):
                return node.kind in ("relu", "relu6", "hsigmoid")
            return isinstance(node, Conv | Affine | Add) and node.relu
    return False
