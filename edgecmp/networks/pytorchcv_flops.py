"""FLOPs by the rule of pytorchcv's tables, whose half is the paper's MFLOPs column.

Conventions, layer by layer: a convolution or linear layer costs two FLOPs a multiply-add, and one
less for each pair of channels of a convolution without bias, or for each output of a linear layer
without bias; batch norm costs four an element, a sigmoid four, h-swish two, ReLU, ReLU6, h-sigmoid,
the channel shuffle and an empty unit of ProxylessNAS one; pooling costs one for each value that it
reads. Sums, products and concatenations between layers cost nothing.

The published tables of the Gluon and TensorFlow 2 networks and those of the PyTorch ones differ by
one thing: in Gluon the average at the entry of a squeeze-and-excitation block is a function, which
a counter of layers does not see, in PyTorch it is a layer. Hence the two figures of
MobileNetV3-Large, 226.80M and 227.09M; the paper has 226.

Example: `count_pytorchcv(get_model("mobilenet_w1")).published_mflops` is 579.80, of which the paper
prints 579.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from pytorchcv.models.common import ChannelShuffle, HSigmoid, HSwish, SEBlock
from pytorchcv.models.proxylessnas import ProxylessUnit
from torch import Tensor, nn

from edgecmp.networks.depthwise import DepthwiseConv2d

__all__ = ["PytorchcvCount", "count_pytorchcv"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PytorchcvCount:
    """What one image costs.

    Attributes:
        flops: FLOPs of all layers.
        squeeze_flops: the part of them in the averages of squeeze-and-excitation blocks.
        macs: multiply-adds of the convolutions and linear layers.
    """

    flops: int
    squeeze_flops: int
    macs: int

    @property
    def published_mflops(self) -> float:
        """The paper's figure and that of the Gluon tables (FLOPs/2), in millions."""
        return (self.flops - self.squeeze_flops) / 2e6

    @property
    def pytorch_mflops(self) -> float:
        """The figure of the PyTorch tables (FLOPs/2), in millions."""
        return self.flops / 2e6


def _conv(layer: nn.Conv2d, x: Tensor, y: Tensor) -> int:
    pairs = layer.in_channels * layer.out_channels // layer.groups
    return 2 * _macs(layer, y) - pairs * (layer.bias is None)


def _linear(layer: nn.Linear, x: Tensor, y: Tensor) -> int:
    return 2 * _macs(layer, y) - layer.out_features * (layer.bias is None)


def _window(layer: nn.MaxPool2d | nn.AvgPool2d, x: Tensor, y: Tensor) -> int:
    size = layer.kernel_size
    height, width = size if isinstance(size, tuple) else (size, size)
    return y.numel() * height * width


def _each(times: int) -> Callable[[Any, Tensor, Tensor], int]:
    """So many FLOPs for each value that is read."""
    return lambda layer, x, y: times * x.numel()


RULES: dict[type[nn.Module], Callable[[Any, Tensor, Tensor], int]] = {
    nn.Conv2d: _conv,
    DepthwiseConv2d: _conv,
    nn.Linear: _linear,
    nn.BatchNorm2d: _each(4),
    nn.BatchNorm1d: _each(4),
    nn.ReLU: _each(1),
    nn.ReLU6: _each(1),
    nn.Sigmoid: _each(4),
    HSigmoid: _each(1),
    HSwish: _each(2),
    ChannelShuffle: _each(1),
    ProxylessUnit: _each(1),  # one that only passes its input on
    nn.MaxPool2d: _window,
    nn.AvgPool2d: _window,
    nn.AdaptiveAvgPool2d: _each(1),
    nn.Dropout: _each(0),
    nn.Identity: _each(0),
}
"""FLOPs of a layer, of its input and of its output, by its class."""


def count_pytorchcv(network: nn.Module, input_size: int = 224) -> PytorchcvCount:
    """Counts one image of (3, S, S) through a network made of the layers in `RULES`.

    Args:
        network: is left as it was.
        input_size: S, in pixels.

    Raises:
        TypeError: a layer of the network is not in `RULES`.
    """
    flops = squeeze_flops = macs = 0
    squeezes = {block.pool for block in network.modules() if isinstance(block, SEBlock)}

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        nonlocal flops, squeeze_flops, macs
        if type(layer) not in RULES:
            raise TypeError(f"{type(layer).__name__} has no rule")
        cost = RULES[type(layer)](layer, inputs[0], y)
        flops += cost
        squeeze_flops += cost * (layer in squeezes)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            macs += _macs(layer, y)

    leaves = [layer for layer in network.modules() if not list(layer.children())]
    hooks = [layer.register_forward_hook(count) for layer in leaves]
    modes = {layer: layer.training for layer in network.modules()}
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, input_size, input_size))
    finally:
        for hook in hooks:
            hook.remove()
        for layer, mode in modes.items():
            layer.training = mode
    return PytorchcvCount(flops=flops, squeeze_flops=squeeze_flops, macs=macs)


def _macs(layer: nn.Conv2d | nn.Linear, y: Tensor) -> int:
    """Multiply-adds of a layer for one image: every output takes one a weight of its filter."""
    return y.numel() * layer.weight[0].numel()
