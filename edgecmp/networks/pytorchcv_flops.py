"""FLOPs by the rules of pytorchcv's tables; half of them is the paper's MFLOPs column.

Conventions by layer: a convolution or linear layer costs two FLOPs per multiply-add, minus one per
pair of channels for a convolution without bias, or per output for a linear layer without bias.
Batch norm costs four per element, a sigmoid four, h-swish two, and ReLU, ReLU6, h-sigmoid, the
channel shuffle and an empty unit of ProxylessNAS one. Pooling costs one per value that it reads.
Sums, products and concatenations between layers cost nothing.

The published tables for Gluon and TensorFlow 2 differ from those for PyTorch in one respect: in
Gluon the average pooling of a squeeze-and-excitation block is a function, which is not counted, and
in PyTorch it is a layer. MobileNetV3-Large therefore has 226.80M or 227.09M; the paper states 226.

Example: `count_pytorchcv(get_model("mobilenet_w1")).published_mflops` is 579.80; the paper states
579.
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
    """The cost of one image.

    Attributes:
        flops: FLOPs of all layers.
        squeeze_flops: FLOPs of the average pooling in squeeze-and-excitation blocks.
        macs: multiply-adds of the convolutions and linear layers.
    """

    flops: int
    squeeze_flops: int
    macs: int

    @property
    def published_mflops(self) -> float:
        """The figure of the paper and the Gluon tables (FLOPs / 2), in millions."""
        return (self.flops - self.squeeze_flops) / 2e6

    @property
    def pytorch_mflops(self) -> float:
        """The figure of the PyTorch tables (FLOPs / 2), in millions."""
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
    """`times` FLOPs per value that is read."""
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
    ProxylessUnit: _each(1),  # an empty one, which returns its input
    nn.MaxPool2d: _window,
    nn.AvgPool2d: _window,
    nn.AdaptiveAvgPool2d: _each(1),
    nn.Dropout: _each(0),
    nn.Identity: _each(0),
}
"""The rule for each class of layers: takes the layer, its input and its output."""


def count_pytorchcv(network: nn.Module, input_size: int = 224) -> PytorchcvCount:
    """Counts one image of (3, S, S) through a network made of the layers in `RULES`.

    Args:
        network: it is not changed.
        input_size: S, in pixels.

    Raises:
        TypeError: a layer of the network is not in `RULES`.
    """
    flops = squeeze_flops = macs = 0
    squeezes = {block.pool for block in network.modules() if isinstance(block, SEBlock)}

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        nonlocal flops, squeeze_flops, macs
        if type(layer) not in RULES:
            raise TypeError(f"there is no rule for the FLOPs of {type(layer).__name__}")
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
    """Multiply-adds of a layer for one image: one per output and weight of its filter."""
    return y.numel() * layer.weight[0].numel()
