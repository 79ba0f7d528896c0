"""The nodes that each module, function and method of a baseline becomes.

A vector (N, C) and a feature map of one pixel (N, C, 1, 1) are the same value here: a 1x1
convolution of it is a linear layer, and flattening it does nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from pytorchcv.models.common import ChannelShuffle, HSigmoid, HSwish
from torch import nn

from edgecmp.export.lowering.baseline_nodes import Activation, Kind, MaxPool, Multiply, Shuffle
from edgecmp.export.lowering.fx_tracing import Tracing, Value
from edgecmp.export.lowering.graph import Add, Affine, Concat, Conv, Linear, Mean, Normalise, Take
from edgecmp.export.lowering.trace_query import batch_norm, exact
from edgecmp.networks.depthwise import DepthwiseConv2d

__all__ = ["OPERATIONS"]

BATCH = object()
"""The result of `x.size(0)`."""


def conv(tracing: Tracing, layer: nn.Conv2d, x: Value) -> Value:
    weight = exact(layer.weight)
    bias = torch.zeros(len(weight), dtype=weight.dtype)
    if layer.bias is not None:
        bias = exact(layer.bias)
    padding, dilation = layer.padding, layer.dilation
    if isinstance(padding, str) or layer.padding_mode != "zeros":
        raise tracing.refuse("A convolution with a padding that is not a number of zeros")
    if layer.stride[0] != layer.stride[1]:
        raise tracing.refuse("A convolution with different strides for height and width")
    if layer.groups > 1 and not layer.groups == layer.in_channels == layer.out_channels:
        raise tracing.refuse("A convolution in groups of several channels")
    if not tracing.is_map(x):
        if weight[0, 0].numel() > 1 or layer.groups > 1:
            raise tracing.refuse("A convolution of a vector with more than one tap")
        weight = weight.flatten(1)
        return tracing.append(Linear(name=tracing.name, inputs=(x.name,), weight=weight, bias=bias))
    return tracing.append(
        Conv(
            name=tracing.name,
            inputs=(x.name,),
            weight=weight,
            bias=bias,
            stride=layer.stride[0],
            padding=(padding[0], padding[1]),
            dilation=(dilation[0], dilation[1]),
            groups=layer.groups,
        )
    )


def norm(tracing: Tracing, layer: nn.BatchNorm1d | nn.BatchNorm2d, x: Value) -> Value:
    if layer.running_mean is None or not layer.affine:
        raise tracing.refuse("A batch norm without statistics or without weights")
    if tracing.is_map(x) != isinstance(layer, nn.BatchNorm2d):
        raise tracing.refuse("A BatchNorm2d of a vector, or a BatchNorm1d of a feature map")
    scale, shift = batch_norm(layer)
    return tracing.append(Affine(name=tracing.name, inputs=(x.name,), scale=scale, shift=shift))


def linear(tracing: Tracing, layer: nn.Linear, x: Value) -> Value:
    weight = exact(layer.weight)
    bias = exact(layer.bias) if layer.bias is not None else weight.new_zeros(len(weight))
    if tracing.is_map(x):
        raise tracing.refuse("A linear layer on a feature map")
    return tracing.append(Linear(name=tracing.name, inputs=(x.name,), weight=weight, bias=bias))


def max_pool(tracing: Tracing, layer: nn.MaxPool2d, x: Value) -> Value:
    settings = (layer.kernel_size, layer.stride, layer.padding)
    kernel, stride, padding = (one_number(tracing, setting) for setting in settings)
    if layer.dilation not in (1, (1, 1)) or layer.return_indices or not tracing.is_map(x):
        raise tracing.refuse("A max pooling with dilation, with indices or of a vector")
    return tracing.append(
        MaxPool(
            name=tracing.name,
            inputs=(x.name,),
            kernel=kernel,
            stride=stride,
            padding=padding,
            ceil_mode=layer.ceil_mode,
        )
    )


def average_pool(tracing: Tracing, layer: nn.AvgPool2d, x: Value) -> Value:
    """A mean over the whole map, or a depthwise convolution whose weights are 1 / (its taps)."""
    settings = (layer.kernel_size, layer.stride, layer.padding)
    kernel, stride, padding = (one_number(tracing, setting) for setting in settings)
    channels, *size = tracing.shapes[x.name]
    if size == [kernel, kernel] and not padding:
        return tracing.append(Mean(name=tracing.name, inputs=(x.name,)))
    if layer.ceil_mode or layer.divisor_override or (padding and not layer.count_include_pad):
        raise tracing.refuse("An average pooling whose divisor is not the size of its window")
    if min(size, default=0) + 2 * padding < kernel:
        raise tracing.refuse(
            f"An average pooling over {kernel} x {kernel} pixels of a feature map of {size}"
        )
    weight = torch.full((channels, 1, kernel, kernel), kernel**-2, dtype=torch.float64)
    return tracing.append(
        Conv(
            name=tracing.name,
            inputs=(x.name,),
            weight=weight,
            bias=weight.new_zeros(channels),
            stride=stride,
            padding=(padding, padding),
            groups=channels,
        )
    )


def adaptive_pool(tracing: Tracing, layer: nn.AdaptiveAvgPool2d, x: Value) -> Value:
    if layer.output_size not in (1, (1, 1)):
        raise tracing.refuse("An adaptive average pooling to more than one pixel")
    return tracing.append(Mean(name=tracing.name, inputs=(x.name,))) if tracing.is_map(x) else x


def one_number(tracing: Tracing, setting: int | tuple[int, int]) -> int:
    """A setting that is the same for height and width."""
    if isinstance(setting, int):
        return setting
    if len(set(setting)) != 1:
        raise tracing.refuse("A pooling with different settings for height and width")
    return setting[0]


def shuffle(tracing: Tracing, layer: ChannelShuffle, x: Value) -> Value:
    if layer.groups == 1:
        return x
    if not tracing.is_map(x):
        raise tracing.refuse("A channel shuffle of a vector")
    return tracing.append(Shuffle(name=tracing.name, inputs=(x.name,), groups=layer.groups))


def activation(tracing: Tracing, kind: Kind, x: Value) -> Value:
    return tracing.append(Activation(name=tracing.name, inputs=(x.name,), kind=kind))


def add(tracing: Tracing, x: Value, y: Value) -> Value:
    if not _are_values(x, y) or tracing.shapes[x.name] != tracing.shapes[y.name]:
        raise tracing.refuse("A sum of anything but two values of the same shape")
    return tracing.append(Add(name=tracing.name, inputs=(x.name, y.name)))


def multiply(tracing: Tracing, x: Value, y: Value) -> Value:
    if not _are_values(x, y) or tracing.is_map(x) == tracing.is_map(y):
        raise tracing.refuse("A product of anything but a feature map and one value per channel")
    first, second = (x, y) if tracing.is_map(x) else (y, x)
    return tracing.append(Multiply(name=tracing.name, inputs=(first.name, second.name)))


def concat(tracing: Tracing, values: Any, dim: int = 0) -> Value:
    if dim != 1 or not all(_are_values(value) and tracing.is_map(value) for value in values):
        raise tracing.refuse("A concatenation of anything but the channels of feature maps")
    return tracing.append(Concat(name=tracing.name, inputs=tuple(value.name for value in values)))


def chunk(tracing: Tracing, x: Value, chunks: int, dim: int = 0) -> list[Value]:
    if dim != 1 or not tracing.is_map(x):
        raise tracing.refuse("A chunk of anything but the channels of a feature map")
    channels = tracing.shapes[x.name][0]
    size = -(-channels // chunks)
    return [
        tracing.append(
            Take(
                name=f"{tracing.name}/{start // size}",
                inputs=(x.name,),
                start=start,
                stop=min(start + size, channels),
            )
        )
        for start in range(0, channels, size)
    ]


def getitem(tracing: Tracing, values: Any, index: Any) -> Value:
    if not isinstance(values, list):
        raise tracing.refuse("A slice of a tensor")
    chosen: Value = values[index]
    return chosen


def size(tracing: Tracing, x: Value, dim: int | None = None) -> object:
    if dim != 0:
        raise tracing.refuse("A size that is not the batch size")
    return BATCH


def view(tracing: Tracing, x: Value, *sizes: Any) -> Value:
    if sizes != (BATCH, -1):
        raise tracing.refuse("A change of shape other than x.view(x.size(0), -1)")
    return flatten(tracing, x, 1)


def flatten(tracing: Tracing, x: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    if (start_dim, end_dim) != (1, -1):
        raise tracing.refuse("A flattening that does not start at the channels")
    if not tracing.is_map(x):
        return x
    if tracing.shapes[x.name][1:] != (1, 1):
        raise tracing.refuse("A flattening of more than one pixel")
    return tracing.append(Mean(name=tracing.name, inputs=(x.name,)))


def mean(tracing: Tracing, x: Value, dim: Any = (), keepdim: bool = False) -> Value:
    axes = [dim] if isinstance(dim, int) else dim
    if not tracing.is_map(x) or sorted(axis % 4 for axis in axes) != [2, 3]:
        raise tracing.refuse("A mean over anything but all pixels")
    return tracing.append(Mean(name=tracing.name, inputs=(x.name,)))


def unit_length(
    tracing: Tracing, x: Value, p: float = 2, dim: int = 1, eps: float = 1e-12, out: None = None
) -> Value:
    if tracing.is_map(x) or p != 2 or dim not in (1, -1):
        raise tracing.refuse("A normalisation by anything but the Euclidean norm of a vector")
    return tracing.append(Normalise(name=tracing.name, inputs=(x.name,)))


def identity(tracing: Tracing, x: Value, *_: Any) -> Value:
    return x


def _are_values(*values: Any) -> bool:
    return all(isinstance(value, Value) for value in values)


def _activate(kind: Kind) -> Callable[..., Value]:
    """The entry of an activation function."""
    return lambda tracing, x, inplace=False: activation(tracing, kind, x)


def _activate_module(kind: Kind) -> Callable[..., Value]:
    """The entry of an activation module."""
    return lambda tracing, layer, x: activation(tracing, kind, x)


def _skip_module(tracing: Tracing, layer: nn.Module, x: Value) -> Value:
    return x


OPERATIONS: dict[Any, Callable[..., Any]] = {
    nn.Conv2d: conv,
    DepthwiseConv2d: conv,
    nn.BatchNorm1d: norm,
    nn.BatchNorm2d: norm,
    nn.Linear: linear,
    nn.MaxPool2d: max_pool,
    nn.AvgPool2d: average_pool,
    nn.AdaptiveAvgPool2d: adaptive_pool,
    ChannelShuffle: shuffle,
    nn.ReLU: _activate_module("relu"),
    nn.ReLU6: _activate_module("relu6"),
    nn.Hardswish: _activate_module("hswish"),
    nn.Hardsigmoid: _activate_module("hsigmoid"),
    HSwish: _activate_module("hswish"),
    HSigmoid: _activate_module("hsigmoid"),
    nn.Dropout: _skip_module,
    nn.Identity: _skip_module,
    F.relu: _activate("relu"),
    operator.add: add,
    operator.mul: multiply,
    operator.getitem: getitem,
    torch.cat: concat,
    torch.chunk: chunk,
    torch.flatten: flatten,
    F.normalize: unit_length,
    "size": size,
    "view": view,
    "reshape": view,
    "flatten": flatten,
    "mean": mean,
    "float": identity,
    "contiguous": identity,
}
"""Every supported module class, function, and name of a method."""
