"""From a query network to its graph, before any rewrite."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from edgecmp.export.lowering.graph import (
    IMAGE,
    Affine,
    Concat,
    Conv,
    Graph,
    Linear,
    Mean,
    Node,
    Normalise,
    Take,
)
from edgecmp.networks.blocks import ChoiceBlock, ConvBN
from edgecmp.networks.query import QueryNet
from edgecmp.preprocessing import Preprocessing

__all__ = ["batch_norm", "exact", "normalise", "trace"]


@torch.no_grad()
def trace(network: QueryNet, input_size: int, pixels: Preprocessing | None = None) -> Graph:
    """The network in evaluation mode as a graph, node by node, its weights in float64.

    Args:
        network: it is not changed.
        input_size: height and width of the images, in pixels.
        pixels: the graph reads pixels in 0..255 and normalises them in this way; None: it reads
            normalised images.
    """
    nodes: list[Node] = []
    value = IMAGE if pixels is None else normalise(nodes, pixels)
    value, channels = _conv_bn(nodes, value, "stem", network.stem), network.stem.conv.out_channels
    for index, module in enumerate(network.blocks):
        block = cast(ChoiceBlock, module)
        value, channels = _block(nodes, value, f"blocks.{index}", block, channels)
    value = _conv_bn(nodes, value, "head", network.head)
    nodes.append(Mean(name="pool", inputs=(value,)))
    weight, bias = (exact(tensor) for tensor in network.embedding.folded())
    nodes.append(Linear(name="linear", inputs=("pool",), weight=weight, bias=bias))
    nodes.append(Normalise(name="embedding", inputs=("linear",)))
    return Graph(
        nodes=tuple(nodes),
        input_shape=(3, input_size, input_size),
        reads_pixels=pixels is not None,
    )


def normalise(nodes: list[Node], pixels: Preprocessing) -> str:
    """Appends (pixel / 255 - mean) / std; returns the name of its value."""
    mean, std = (torch.tensor(value, dtype=torch.float64) for value in (pixels.mean, pixels.std))
    nodes.append(
        Affine(name="normalised", inputs=(IMAGE,), scale=1 / (255 * std), shift=-mean / std)
    )
    return "normalised"


def exact(tensor: Tensor) -> Tensor:
    """A float64 copy in plain memory order."""
    return tensor.detach().cpu().to(torch.float64, copy=True).contiguous()


def batch_norm(bn: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Scale and shift (C,) of a batch norm in evaluation mode."""
    mean, var = (exact(cast(Tensor, stat)) for stat in (bn.running_mean, bn.running_var))
    scale = exact(bn.weight) / torch.sqrt(var + bn.eps)
    return scale, exact(bn.bias) - mean * scale


def _conv_bn(nodes: list[Node], value: str, name: str, layer: ConvBN) -> str:
    """Appends a convolution and its batch norm; returns the name of their value."""
    conv, bn = layer.conv, layer.bn
    weight = exact(conv.weight)
    nodes.append(
        Conv(
            name=f"{name}.conv",
            inputs=(value,),
            weight=weight,
            bias=torch.zeros(len(weight), dtype=weight.dtype),
            stride=conv.stride[0],
            padding=cast(tuple[int, int], conv.padding),
            groups=conv.groups,
        )
    )
    scale, shift = batch_norm(bn)
    nodes.append(
        Affine(name=name, inputs=(f"{name}.conv",), scale=scale, shift=shift, relu=layer.relu)
    )
    return name


def _block(
    nodes: list[Node], value: str, name: str, block: ChoiceBlock, channels: int
) -> tuple[str, int]:
    """Appends a choice block; returns the name of its value and the number of its channels."""
    if block.proj is None:
        passed, main = f"{name}.even", f"{name}.odd"
        nodes.append(Take(name=passed, inputs=(value,), start=0, stop=channels, step=2))
        nodes.append(Take(name=main, inputs=(value,), start=1, stop=channels, step=2))
    else:
        main = passed = value
        for index, layer in enumerate(block.proj):
            passed = _conv_bn(nodes, passed, f"{name}.proj.{index}", cast(ConvBN, layer))
    kept = channels // 2 if block.proj is None else channels
    for index, layer in enumerate(block.main):
        main = _conv_bn(nodes, main, f"{name}.main.{index}", cast(ConvBN, layer))
    nodes.append(Concat(name=name, inputs=(passed, main)))
    last = cast(ConvBN, block.main[-1])
    return name, kept + last.conv.out_channels
