"""Grows a supernet from one trained network, so that all paths start as the same function.

A supernet that is trained from scratch on sampled paths stays at chance for many epochs: each step
uses other random blocks, so no layer can adapt to the one before it (supplement A.2 reports the
same and first averages all four blocks). In a grown supernet the three shuffle blocks of a layer
compute exactly the same as the seed network's block, and the Xception block nearly the same, and
training starts from there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgecmp.networks.architecture import Architecture
from edgecmp.networks.blocks import ChoiceBlock, ConvBN, even_odd_split
from edgecmp.networks.query import QueryNet
from edgecmp.networks.supernet import Supernet
from edgecmp.networks.tiers import DEPTH, WIDTHS

__all__ = ["grow", "seed_architecture"]

LIFT = 3.0
"""Standard deviations by which a signal is shifted up so that it passes a ReLU unchanged."""


def seed_architecture(tier: str, *, embedding_dim: int, input_size: int) -> Architecture:
    """The network that a supernet grows from: 3x3 shuffle blocks at full width in every layer."""
    return Architecture(
        tier=tier,
        blocks=(0,) * DEPTH,
        widths=(len(WIDTHS) - 1,) * DEPTH,
        embedding_dim=embedding_dim,
        input_size=input_size,
    )


@torch.no_grad()
def grow(supernet: Supernet, seed: QueryNet, images: Tensor) -> None:
    """Fills all blocks of `supernet` from `seed`, a trained network of `seed_architecture`.

    Larger kernels are the 3x3 ones padded with zeros. The channels of each main branch are sorted
    by their contribution, so that a narrow path keeps the most important ones.

    Args:
        supernet: overwritten.
        seed: left in evaluation mode.
        images: normalised images (N, 3, S, S), for the statistics of each block's input.
    """
    inputs = _main_inputs(seed, images)
    supernet.stem.load_state_dict(seed.stem.state_dict())
    supernet.head.load_state_dict(seed.head.state_dict())
    supernet.embedding.load_state_dict(seed.embedding.state_dict())
    for choices, source, entering in zip(supernet.layers, seed.blocks, inputs, strict=True):
        assert isinstance(choices, nn.ModuleList)
        assert isinstance(source, ChoiceBlock)
        order = _importance(source).argsort(descending=True)
        for target in choices:
            assert isinstance(target, ChoiceBlock)
            if len(target.main) == len(source.main):
                _fill_shuffle(target, source, order)
            else:
                _fill_xception(target, source, order, entering)
            if target.proj is not None and source.proj is not None:
                for here, there in zip(target.proj, source.proj, strict=True):
                    _fill(here, there)


def _main_inputs(seed: QueryNet, images: Tensor) -> list[Tensor]:
    """The input of each block's main branch: 20 tensors (N, C, H, W)."""
    seen: list[Tensor] = []
    seed.eval()
    x = seed.stem(images)
    for block in seed.blocks:
        assert isinstance(block, ChoiceBlock)
        seen.append(even_odd_split(x)[1] if block.proj is None else x)
        x = block(x)
    return seen


def _importance(block: ChoiceBlock) -> Tensor:
    """(mid,): deviation of each channel before the last convolution times its outgoing weights."""
    _, depthwise, last = block.main
    assert isinstance(depthwise, ConvBN)
    assert isinstance(last, ConvBN)
    return depthwise.bn.weight.abs() * last.conv.weight.abs().sum((0, 2, 3))


def _fill(
    target: nn.Module,
    source: nn.Module,
    out: Tensor | slice = slice(None),
    inputs: Tensor | slice = slice(None),
) -> None:
    """Copies a ConvBN with reordered filters and inputs and a kernel padded with zeros."""
    assert isinstance(target, ConvBN)
    assert isinstance(source, ConvBN)
    margin = (target.conv.kernel_size[0] - source.conv.kernel_size[0]) // 2
    weight = source.conv.weight[out][:, inputs]
    target.conv.weight.copy_(nn.functional.pad(weight, (margin,) * 4))
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(target.bn, name).copy_(getattr(source.bn, name)[out])


def _fill_shuffle(target: ChoiceBlock, source: ChoiceBlock, order: Tensor) -> None:
    first, depthwise, last = source.main
    _fill(target.main[0], first, order)
    _fill(target.main[1], depthwise, order)
    _fill(target.main[2], last, inputs=order)


def _fill_xception(
    target: ChoiceBlock, source: ChoiceBlock, order: Tensor, entering: Tensor
) -> None:
    """Three of the six layers compute the shuffle block, the other three pass the signal through.

    A layer passes the signal through if its convolution is the identity and its batch norm restores
    the mean and deviation that it removes. Before a ReLU the signal is shifted up, after it back.
    """
    first, depthwise, last = source.main
    assert isinstance(depthwise, ConvBN)
    _fill(target.main[1], first, order)
    _fill(target.main[2], depthwise, order)
    _fill(target.main[5], last, inputs=order)
    mean, var = entering.mean((0, 2, 3)), entering.var((0, 2, 3))
    _pass(target.main[0], mean, var.sqrt(), lift=0.0)
    spread = depthwise.bn.weight[order].abs().clamp_min(1e-3)
    level = depthwise.bn.bias[order]
    _pass(target.main[3], level, spread, lift=LIFT)
    _pass(target.main[4], level + LIFT * spread, spread, lift=-LIFT)


def _pass(layer: nn.Module, mean: Tensor, spread: Tensor, *, lift: float) -> None:
    """Makes a ConvBN the identity on signals of this mean and deviation (C,), shifted by `lift`."""
    assert isinstance(layer, ConvBN)
    layer.conv.weight.zero_()
    middle = layer.conv.kernel_size[0] // 2
    channels = torch.arange(layer.conv.out_channels)
    layer.conv.weight[channels, 0 if layer.depthwise else channels, middle, middle] = 1.0
    layer.bn.running_mean.copy_(mean)  # type: ignore[union-attr]
    layer.bn.running_var.copy_(spread**2)  # type: ignore[union-attr]
    layer.bn.weight.copy_(spread)
    layer.bn.bias.copy_(mean + lift * spread)
