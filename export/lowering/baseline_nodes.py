"""The kinds of node that only the baselines need; see `graph`."""

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
    "fused_activations",
    "is_non_negative",
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
    """An elementwise function; a ReLU only if it cannot be the `relu` of another node."""

    kind: Kind

    def module(self) -> nn.Module:
        return ACTIVATIONS[self.kind]()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MaxPool(Node):
    """The largest value of each window.

    Attributes:
        padding: pixels on every side, which are never the largest value.
        ceil_mode: a last window that extends beyond the padding counts too, as in torch.
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
        """(top, bottom, left, right) pixels that windows cover beyond a map of `shape`."""
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
    """A feature map (C, H, W) whose channels are multiplied by a vector (C,)."""

    def module(self) -> nn.Module:
        return layers.Multiply()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Shuffle(Node):
    """The channels of `groups` equal groups, interleaved as in ShuffleNet."""

    groups: int

    def order(self, channels: int) -> list[int]:
        """For each output channel, the input channel that it is."""
        size = channels // self.groups
        return [
            channel % self.groups * size + channel // self.groups for channel in range(channels)
        ]

    def module(self) -> nn.Module:
        return layers.Shuffle(self.groups)


EXTRA = (Activation, MaxPool, Multiply, Shuffle)
"""All of these kinds."""

FUSIBLE: tuple[Kind, ...] = ("relu", "relu6")
"""Activations that runtimes can fuse into the operator before them."""


def fused_activations(graph: Graph) -> dict[str, Activation]:
    """The activations that can be fused into the operator before them, by the name of its node."""
    nodes = {node.name: node for node in graph}
    readers: dict[str, list[Node]] = {}
    for node in graph:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    return {
        name: reader
        for name, (reader, *others) in readers.items()
        if isinstance(reader, Activation)
        and reader.kind in FUSIBLE
        and not others
        and _takes_activation(nodes.get(name))
    }


def _takes_activation(node: Node | None) -> bool:
    """Whether a node has an operator that can have a fused activation, and has none yet."""
    if isinstance(node, Conv | Affine | Add):
        return not node.relu
    return isinstance(node, Linear)


def is_non_negative(graph: Graph, name: str) -> bool:
    """Whether a value comes from a ReLU, so that zeros around it never exceed it."""
    for node in graph:
        if node.name == name:
            if isinstance(node, Activation):
                return node.kind in (*FUSIBLE, "hsigmoid")
            return isinstance(node, Conv | Affine | Add) and node.relu
    return False
