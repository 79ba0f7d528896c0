"""From a plain convolutional network of other people's to a graph, through torch.fx.

Features, a global average and a linear layer or a 1x1 convolution: what pytorchcv's classifiers
and the gallery networks are made of. `OPERATIONS` holds, for each module, function and method, what
it is in the graph; there is no approximation, so anything else is refused by its name.

A vector (N, C) and a map of one pixel (N, C, 1, 1) are the same value here: a 1x1 convolution of
one is a linear layer, and flattening it does nothing.
"""

from __future__ import annotations

import inspect
import operator
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from pytorchcv.models.common import ChannelShuffle, HSigmoid, HSwish
from torch import fx, nn

from edgecmp.errors import UserError
from edgecmp.export.lowering.extra_nodes import Activation, Kind, MaxPool, Multiply, Shuffle
from edgecmp.export.lowering.graph import (
    IMAGE,
    Add,
    Affine,
    Concat,
    Conv,
    Graph,
    Linear,
    Mean,
    Node,
    Normalise,
    Shape,
    Take,
)
from edgecmp.export.lowering.trace import batch_norm, exact, normalise
from edgecmp.preprocessing import Preprocessing

__all__ = ["EMBEDDING", "OPERATIONS", "trace_module"]

EMBEDDING = "embedding"
"""The name of the value that the network gives, as in the graphs of our own networks."""

BATCH = object()
"""What `x.size(0)` gives."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the graph in the place of a tensor."""

    name: str


@torch.no_grad()
def trace_module(module: nn.Module, input_size: int, pixels: Preprocessing | None = None) -> Graph:
    """The module in evaluation mode as a graph, node by node, its weights in float64.

    Args:
        module: from images (N, 3, S, S) to embeddings (N, D); is not changed.
        input_size: height and width of the images, S.
        pixels: the image is pixels in 0..255, and the graph normalises them in this way; None: the
            image is normalised before.

    Raises:
        UserError: it does something that is not in `OPERATIONS`.
    """
    try:
        traced = _Tracer().trace(module)
    except fx.proxy.TraceError as error:
        raise UserError(
            f"{type(module).__name__} is no plain feed-forward network: {error}.",
            "Its `forward` may not depend on the values or shapes of tensors.",
        ) from error
    return _Tracing(module, (3, input_size, input_size), pixels).run(traced)


class _Tracer(fx.Tracer):
    """Stops at the modules that `OPERATIONS` knows."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in OPERATIONS or super().is_leaf_module(m, module_qualified_name)


class _Tracing:
    """Walks the fx graph once and collects nodes."""

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

    def run(self, traced: fx.Graph) -> Graph:
        """The graph; the last value is called `EMBEDDING`."""
        environment: dict[fx.Node, Any] = {}
        for node in traced.nodes:
            arguments, options = fx.node.map_arg((node.args, node.kwargs), environment.__getitem__)
            if node.op == "placeholder":
                environment[node] = Value(self.image)
            elif node.op == "output":
                return self.finish(arguments[0])
            else:
                self.name = self.unique(node)
                source = next((a for a in node.args if isinstance(a, fx.Node)), None)
                environment[node] = self.translate(node, arguments, options)
                if source is not None and self.in_place(node):
                    environment[source] = environment[node]  # for whoever reads it later
        raise AssertionError("fx graphs end in an output")

    def translate(self, node: fx.Node, arguments: Any, options: Any) -> Any:
        """What a call gives, by its entry in `OPERATIONS`."""
        key: Any = node.target
        if node.op == "call_module":
            layer = self.module.get_submodule(str(node.target))
            key, arguments = type(layer), (layer, *arguments)
        if key not in OPERATIONS:
            known = ", ".join(sorted({_name(entry) for entry in OPERATIONS}, key=str.lower))
            raise UserError(
                f"The lowering does not know {_name(key)} ({self.name}).", f"It knows: {known}."
            )
        entry = OPERATIONS[key]
        try:
            call = inspect.signature(entry).bind(self, *arguments, **options)
        except TypeError as error:
            raise self.refuse(f"A call of {_name(key)} with {error}") from error
        return entry(*call.args, **call.kwargs)

    def in_place(self, node: fx.Node) -> bool:
        """Whether a call overwrites what it reads."""
        if node.op != "call_module":
            return bool(node.kwargs.get("inplace", False))
        layer = self.module.get_submodule(str(node.target))
        return isinstance(layer, nn.ReLU | nn.ReLU6) and layer.inplace

    def finish(self, result: Any) -> Graph:
        """The graph that gives this value."""
        if not isinstance(result, Value) or result.name not in self.nodes:
            raise self.refuse("The network does not give one embedding")
        if len(self.shapes[result.name]) != 1:
            raise self.refuse("The network gives a feature map instead of an embedding")
        names = {result.name: EMBEDDING}
        nodes = [
            replace(
                node,
                name=names.get(node.name, node.name),
                inputs=tuple(names.get(name, name) for name in node.inputs),
            )
            for node in _with_relus(self.nodes.values())
        ]
        nodes.sort(key=lambda node: node.name == EMBEDDING)
        return Graph(
            nodes=tuple(nodes), input_shape=self.input_shape, reads_pixels=self.reads_pixels
        )

    def unique(self, node: fx.Node) -> str:
        """A free name after the module that does it or that it is done in."""
        path = [name for name, _ in node.meta.get("nn_module_stack", {}).values()]
        name = path[-1] if path else ""
        if node.op != "call_module":
            name = f"{name}.{node.name}".strip(".")
        taken = {IMAGE, EMBEDDING, *self.nodes}
        return next(
            candidate
            for candidate in (name, *(f"{name}/{count}" for count in range(1, len(taken) + 2)))
            if candidate not in taken
        )

    def refuse(self, what: str) -> UserError:
        """The error about the operation at hand."""
        where = f" ({self.name})" if self.name else ""
        return UserError(f"{what}{where}.", "The lowering cannot say that exactly.")

    def append(self, node: Node) -> Value:
        """Adds a node; returns the value it gives."""
        self.nodes[node.name] = node
        self.shapes[node.name] = node.shape(*(self.shapes[name] for name in node.inputs))
        return Value(node.name)

    def is_map(self, value: Value) -> bool:
        """Whether it has pixels."""
        return len(self.shapes[value.name]) == 3

    # Modules

    def conv(self, layer: nn.Conv2d, x: Value) -> Value:
        weight = exact(layer.weight)
        bias = torch.zeros(len(weight), dtype=weight.dtype)
        if layer.bias is not None:
            bias = exact(layer.bias)
        padding, dilation = layer.padding, layer.dilation
        if isinstance(padding, str) or layer.padding_mode != "zeros":
            raise self.refuse("A convolution with other than a number of zeros as its padding")
        if layer.stride[0] != layer.stride[1]:
            raise self.refuse("A convolution with two strides")
        if layer.groups > 1 and not layer.groups == layer.in_channels == layer.out_channels:
            raise self.refuse("A convolution in groups of several channels")
        if not self.is_map(x):
            if weight[0, 0].numel() > 1 or layer.groups > 1:
                raise self.refuse("A convolution of a single pixel")
            weight = weight.flatten(1)
            return self.append(Linear(name=self.name, inputs=(x.name,), weight=weight, bias=bias))
        return self.append(
            Conv(
                name=self.name,
                inputs=(x.name,),
                weight=weight,
                bias=bias,
                stride=layer.stride[0],
                padding=(padding[0], padding[1]),
                dilation=(dilation[0], dilation[1]),
                groups=layer.groups,
            )
        )

    def batch_norm(self, layer: nn.BatchNorm2d, x: Value) -> Value:
        if layer.running_mean is None or not layer.affine or not self.is_map(x):
            raise self.refuse("A batch norm without statistics, without weights or of one pixel")
        scale, shift = batch_norm(layer)
        return self.append(Affine(name=self.name, inputs=(x.name,), scale=scale, shift=shift))

    def linear(self, layer: nn.Linear, x: Value) -> Value:
        weight = exact(layer.weight)
        bias = exact(layer.bias) if layer.bias is not None else weight.new_zeros(len(weight))
        if self.is_map(x):
            raise self.refuse("A linear layer on a feature map")
        return self.append(Linear(name=self.name, inputs=(x.name,), weight=weight, bias=bias))

    def max_pool(self, layer: nn.MaxPool2d, x: Value) -> Value:
        settings = (layer.kernel_size, layer.stride, layer.padding)
        kernel, stride, padding = (self.one_number(setting) for setting in settings)
        if layer.dilation not in (1, (1, 1)) or layer.return_indices:
            raise self.refuse("A max pooling with dilation or indices")
        return self.append(
            MaxPool(
                name=self.name,
                inputs=(x.name,),
                kernel=kernel,
                stride=stride,
                padding=padding,
                ceil_mode=layer.ceil_mode,
            )
        )

    def average_pool(self, layer: nn.AvgPool2d, x: Value) -> Value:
        """A mean over the whole map, or a depthwise convolution by 1 / (its taps)."""
        settings = (layer.kernel_size, layer.stride, layer.padding)
        kernel, stride, padding = (self.one_number(setting) for setting in settings)
        channels, *size = self.shapes[x.name]
        if size == [kernel, kernel] and not padding:
            return self.append(Mean(name=self.name, inputs=(x.name,)))
        if layer.ceil_mode or layer.divisor_override or (padding and not layer.count_include_pad):
            raise self.refuse("An average whose divisor changes from window to window")
        if min(size, default=0) + 2 * padding < kernel:
            raise self.refuse(f"An average over {kernel} x {kernel} pixels of a map of {size}")
        weight = torch.full((channels, 1, kernel, kernel), kernel**-2, dtype=torch.float64)
        return self.append(
            Conv(
                name=self.name,
                inputs=(x.name,),
                weight=weight,
                bias=weight.new_zeros(channels),
                stride=stride,
                padding=(padding, padding),
                groups=channels,
            )
        )

    def adaptive_pool(self, layer: nn.AdaptiveAvgPool2d, x: Value) -> Value:
        if layer.output_size not in (1, (1, 1)):
            raise self.refuse("An adaptive average of more than one pixel")
        return self.append(Mean(name=self.name, inputs=(x.name,))) if self.is_map(x) else x

    def one_number(self, setting: int | tuple[int, int]) -> int:
        """The same for height and width."""
        if isinstance(setting, int):
            return setting
        if len(set(setting)) != 1:
            raise self.refuse("A pooling that differs from height to width")
        return setting[0]

    def shuffle(self, layer: ChannelShuffle, x: Value) -> Value:
        if layer.groups == 1:
            return x
        return self.append(Shuffle(name=self.name, inputs=(x.name,), groups=layer.groups))

    # Functions and methods

    def activation(self, kind: Kind, x: Value) -> Value:
        return self.append(Activation(name=self.name, inputs=(x.name,), kind=kind))

    def add(self, x: Value, y: Value) -> Value:
        if not _are_values(x, y) or self.shapes[x.name] != self.shapes[y.name]:
            raise self.refuse("A sum of different shapes")
        return self.append(Add(name=self.name, inputs=(x.name, y.name)))

    def multiply(self, x: Value, y: Value) -> Value:
        if not _are_values(x, y) or self.is_map(x) == self.is_map(y):
            raise self.refuse("A product of other than a feature map and a value a channel")
        first, second = (x, y) if self.is_map(x) else (y, x)
        return self.append(Multiply(name=self.name, inputs=(first.name, second.name)))

    def concat(self, values: Any, dim: int = 0) -> Value:
        if dim != 1:
            raise self.refuse("Values joined along something else than the channels")
        return self.append(Concat(name=self.name, inputs=tuple(value.name for value in values)))

    def chunk(self, x: Value, chunks: int, dim: int = 0) -> list[Value]:
        if dim != 1:
            raise self.refuse("A map cut along something else than the channels")
        channels = self.shapes[x.name][0]
        size = -(-channels // chunks)
        return [
            self.append(
                Take(
                    name=f"{self.name}/{start // size}",
                    inputs=(x.name,),
                    start=start,
                    stop=min(start + size, channels),
                )
            )
            for start in range(0, channels, size)
        ]

    def getitem(self, values: Any, place: Any) -> Value:
        if not isinstance(values, list):
            raise self.refuse("A slice of a tensor")
        part: Value = values[place]
        return part

    def size(self, x: Value, dim: int | None = None) -> object:
        if dim != 0:
            raise self.refuse("A size other than that of the batch")
        return BATCH

    def view(self, x: Value, *sizes: Any) -> Value:
        if sizes != (BATCH, -1):
            raise self.refuse("A change of shape other than x.view(x.size(0), -1)")
        return self.flatten(x, 1)

    def flatten(self, x: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
        if (start_dim, end_dim) != (1, -1):
            raise self.refuse("A flattening from another axis than the channels")
        if not self.is_map(x):
            return x
        if self.shapes[x.name][1:] != (1, 1):
            raise self.refuse("A flattening of more than one pixel")
        return self.append(Mean(name=self.name, inputs=(x.name,)))

    def mean(self, x: Value, dim: Any, keepdim: bool = False) -> Value:
        if not self.is_map(x) or sorted(axis % 4 for axis in dim) != [2, 3]:
            raise self.refuse("A mean over other than all pixels")
        return self.append(Mean(name=self.name, inputs=(x.name,)))

    def unit_length(
        self, x: Value, p: float = 2, dim: int = 1, eps: float = 1e-12, out: None = None
    ) -> Value:
        if self.is_map(x) or p != 2 or dim not in (1, -1):
            raise self.refuse("A length other than the Euclidean one of a vector")
        return self.append(Normalise(name=self.name, inputs=(x.name,)))

    def nothing(self, x: Value, *_: Any) -> Value:
        return x


def _with_relus(nodes: Iterable[Node]) -> list[Node]:
    """The nodes, each ReLU made part of the node before it where nobody else reads that."""
    before = list(nodes)
    readers = Counter(name for node in before for name in node.inputs)
    after: dict[str, Node] = {}
    for node in before:
        source = after.get(node.inputs[0])
        if (
            isinstance(node, Activation)
            and node.kind == "relu"
            and isinstance(source, Conv | Affine | Add)
            and readers[source.name] == 1
        ):
            del after[source.name]
            node = replace(source, name=node.name, relu=True)
        after[node.name] = node
    return list(after.values())


def _are_values(*values: Any) -> bool:
    return all(isinstance(value, Value) for value in values)


def _name(key: Any) -> str:
    return key if isinstance(key, str) else str(key.__name__)


def _activate(kind: Kind) -> Callable[..., Value]:
    """The entry of an activation function."""
    return lambda tracing, x, inplace=False: tracing.activation(kind, x)


def _activate_module(kind: Kind) -> Callable[..., Value]:
    """The entry of an activation module."""
    return lambda tracing, layer, x: tracing.activation(kind, x)


def _skip_module(tracing: _Tracing, layer: nn.Module, x: Value) -> Value:
    return x


OPERATIONS: dict[Any, Callable[..., Any]] = {
    nn.Conv2d: _Tracing.conv,
    nn.BatchNorm2d: _Tracing.batch_norm,
    nn.Linear: _Tracing.linear,
    nn.MaxPool2d: _Tracing.max_pool,
    nn.AvgPool2d: _Tracing.average_pool,
    nn.AdaptiveAvgPool2d: _Tracing.adaptive_pool,
    ChannelShuffle: _Tracing.shuffle,
    nn.ReLU: _activate_module("relu"),
    nn.ReLU6: _activate_module("relu6"),
    nn.Hardswish: _activate_module("hswish"),
    nn.Hardsigmoid: _activate_module("hsigmoid"),
    HSwish: _activate_module("hswish"),
    HSigmoid: _activate_module("hsigmoid"),
    nn.Dropout: _skip_module,
    nn.Identity: _skip_module,
    F.relu: _activate("relu"),
    operator.add: _Tracing.add,
    operator.mul: _Tracing.multiply,
    operator.getitem: _Tracing.getitem,
    torch.cat: _Tracing.concat,
    torch.chunk: _Tracing.chunk,
    torch.flatten: _Tracing.flatten,
    F.normalize: _Tracing.unit_length,
    "size": _Tracing.size,
    "view": _Tracing.view,
    "reshape": _Tracing.view,
    "flatten": _Tracing.flatten,
    "mean": _Tracing.mean,
    "float": _Tracing.nothing,
    "contiguous": _Tracing.nothing,
}
"""What is understood: classes of modules, functions, and names of methods."""
