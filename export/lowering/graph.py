"""The form that every target is written from: a static list of nodes over named values.

Ten kinds of node are enough for the query networks; `baseline_nodes` has those that only the
baselines need. A rewrite maps a `Graph` to an equivalent `Graph`; weights stay in float64 until
the last rewrite and are rounded once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from edgecmp.export.lowering import layers

__all__ = [
    "IMAGE",
    "Add",
    "Affine",
    "Concat",
    "Conv",
    "Graph",
    "Linear",
    "Mean",
    "Node",
    "Normalise",
    "Pad",
    "Shape",
    "Take",
]

IMAGE = "image"
"""The name of the one input value."""

Shape = tuple[int, ...]
"""(C, H, W) of a feature map, (C,) of a vector; without the batch axis."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Node(ABC):
    """One operation; its name is also the name of the value that it computes.

    Attributes:
        name: of the module it came from ("blocks.3.main.1"), so that a fault can be located.
        inputs: names of the values that it reads.
    """

    name: str
    inputs: tuple[str, ...]

    def shape(self, *inputs: Shape) -> Shape:
        """The shape of its value, given those of its inputs."""
        return inputs[0]

    @abstractmethod
    def module(self) -> nn.Module:
        """The same operation as a torch module, which shares this node's tensors."""

    def to(self, dtype: torch.dtype) -> Node:
        """The node with its tensors converted to `dtype`."""
        tensors: dict[str, Any] = {
            field.name: value.to(dtype)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **tensors)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Conv(Node):
    """A convolution with symmetric zero padding and, if `relu`, a ReLU.

    Attributes:
        weight: (out, in / groups, kh, kw).
        bias: (out,).
        groups: 1, or the number of channels (depthwise).
    """

    weight: Tensor
    bias: Tensor
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    relu: bool = False

    @property
    def depthwise(self) -> bool:
        """Whether each channel is filtered by itself."""
        return self.groups > 1

    @property
    def extent(self) -> tuple[int, int]:
        """Height and width of the receptive field of one output pixel, in input pixels."""
        _, _, kh, kw = self.weight.shape
        return (kh - 1) * self.dilation[0] + 1, (kw - 1) * self.dilation[1] + 1

    def shape(self, *inputs: Shape) -> Shape:
        _, *sizes = inputs[0]
        height, width = (
            (size + 2 * padding - extent) // self.stride + 1
            for size, padding, extent in zip(sizes, self.padding, self.extent, strict=True)
        )
        return self.weight.shape[0], height, width

    def module(self) -> nn.Module:
        out, inputs, kh, kw = self.weight.shape
        conv = nn.Conv2d(
            inputs * self.groups,
            out,
            (kh, kw),
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            device="meta",
        )
        conv.weight = nn.Parameter(self.weight, requires_grad=False)
        conv.bias = nn.Parameter(self.bias, requires_grad=False)
        return nn.Sequential(conv, nn.ReLU()) if self.relu else conv


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Affine(Node):
    """x * scale + shift for each channel, both (C,): a batch norm in evaluation mode."""

    scale: Tensor
    shift: Tensor
    relu: bool = False

    def module(self) -> nn.Module:
        affine = layers.Affine(self.scale, self.shift)
        return nn.Sequential(affine, nn.ReLU()) if self.relu else affine


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Take(Node):
    """The channels start, start + step, ... below stop."""

    start: int
    stop: int
    step: int = 1

    def shape(self, *inputs: Shape) -> Shape:
        return len(range(self.start, self.stop, self.step)), *inputs[0][1:]

    def module(self) -> nn.Module:
        return layers.Take(self.start, self.stop, self.step)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Concat(Node):
    """The channels of all inputs, in order."""

    def shape(self, *inputs: Shape) -> Shape:
        return sum(shape[0] for shape in inputs), *inputs[0][1:]

    def module(self) -> nn.Module:
        return layers.Concat()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Add(Node):
    """The sum of two values of equal shape and, if `relu`, a ReLU."""

    relu: bool = False

    def module(self) -> nn.Module:
        return layers.Add(self.relu)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pad(Node):
    """Zeros around a feature map: (top, bottom, left, right) pixels."""

    amounts: tuple[int, int, int, int]

    def shape(self, *inputs: Shape) -> Shape:
        channels, height, width = inputs[0]
        top, bottom, left, right = self.amounts
        return channels, top + height + bottom, left + width + right

    def module(self) -> nn.Module:
        top, bottom, left, right = self.amounts
        return nn.ZeroPad2d((left, right, top, bottom))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Mean(Node):
    """The average over all pixels: (C, H, W) to (C,)."""

    def shape(self, *inputs: Shape) -> Shape:
        return inputs[0][:1]

    def module(self) -> nn.Module:
        return layers.Mean()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Linear(Node):
    """A linear layer: weight (out, in), bias (out,)."""

    weight: Tensor
    bias: Tensor

    def shape(self, *inputs: Shape) -> Shape:
        return (self.weight.shape[0],)

    def module(self) -> nn.Module:
        out, inputs = self.weight.shape
        linear = nn.Linear(inputs, out, device="meta")
        linear.weight = nn.Parameter(self.weight, requires_grad=False)
        linear.bias = nn.Parameter(self.bias, requires_grad=False)
        return linear


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Normalise(Node):
    """A vector scaled to unit length."""

    def module(self) -> nn.Module:
        return layers.Normalise()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Graph:
    """Nodes in the order in which they run; the last one computes the output.

    Attributes:
        nodes: each reads `IMAGE` or values of nodes before it.
        input_shape: (C, H, W) of `IMAGE`.
        reads_pixels: `IMAGE` is pixels in 0..255 instead of normalised values.
    """

    nodes: tuple[Node, ...]
    input_shape: Shape
    reads_pixels: bool = False

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def shapes(self) -> dict[str, Shape]:
        """The shape of every value, by name."""
        shapes = {IMAGE: self.input_shape}
        for node in self.nodes:
            shapes[node.name] = node.shape(*(shapes[name] for name in node.inputs))
        return shapes

    def with_nodes(self, nodes: list[Node]) -> Graph:
        """The graph with its nodes replaced."""
        return replace(self, nodes=tuple(nodes))

    def to(self, dtype: torch.dtype) -> Graph:
        """The graph with every tensor rounded to `dtype`."""
        return self.with_nodes([node.to(dtype) for node in self.nodes])
