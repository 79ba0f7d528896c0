"""Widens a supernet of one tier to a wider tier, so that every path keeps computing its features.

Each channel of the narrow supernet gets a place in the wide one, and the weights between placed
channels are copied. The weights from new channels to placed ones start at zero, and those to new
channels at random, so that the wide supernet computes the narrow one's features and others besides
them, and all its weights learn. (Chen et al., "Net2Net: Accelerating Learning via Knowledge
Transfer", ICLR 2016, https://arxiv.org/abs/1511.05641, duplicates channels instead.)

A block of stride 1 passes its even channels through, and they are the first half of its output:
the channel i becomes the channel i / 2 of the next block. How many blocks a channel passes until
its number is odd and a main branch reads it thus depends on its number alone, and a channel is
placed at a number with the same future.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgecmp.networks.blocks import ChoiceBlock, ConvBN
from edgecmp.networks.supernet import Supernet
from edgecmp.networks.tiers import WIDTHS, Layer

__all__ = ["widen"]


@torch.no_grad()
def widen(narrow: Supernet, wide: Supernet) -> None:
    """Copies a supernet into one of a wider tier, in place.

    Args:
        narrow: the trained supernet.
        wide: of a wider tier, with random initial weights; its statistics of new channels, and its
            embedding's weights for them, remain those of an untrained network.
    """
    places = torch.arange(narrow.stem.conv.out_channels)
    _place(wide.stem, narrow.stem, places, torch.arange(3))
    for index, (small, large) in enumerate(zip(narrow.layer_specs, wide.layer_specs, strict=True)):
        left = sum(
            layer.stride == 1 and layer.stage == small.stage
            for layer in narrow.layer_specs[index + 1 :]
        )
        inputs = places if small.stride == 2 else places[1::2] // 2
        start, large_start = len(inputs), large.in_channels // (3 - small.stride)
        outputs = _placed(start, small.out_channels, large_start, large.out_channels, left)
        first = places[0::2] // 2
        if small.stride == 2:
            first = _placed(0, start, 0, large_start, left)
        inner = _inner_places(small, large)
        for source, target in zip(
            _choices(narrow.layers[index]), _choices(wide.layers[index]), strict=True
        ):
            _place_main(target, source, inputs, inner, outputs - large_start)
            if source.proj is not None and target.proj is not None:
                _place(target.proj[0], source.proj[0], places, places)
                _place(target.proj[1], source.proj[1], first, places)
        places = torch.cat((first, outputs))
    _place(wide.head, narrow.head, torch.arange(narrow.head.conv.out_channels), places)


def _choices(layer: nn.Module) -> list[ChoiceBlock]:
    """The four blocks of a layer."""
    assert isinstance(layer, nn.ModuleList)
    return [block for block in layer if isinstance(block, ChoiceBlock)]


def _placed(start: int, stop: int, large_start: int, large_stop: int, left: int) -> Tensor:
    """The places of the channels start..stop-1 among large_start..large_stop-1.

    Args:
        start, stop: channels of the narrow supernet.
        large_start, large_stop: channels of the wide one that are free.
        left: blocks of stride 1 that follow in the stage.
    """
    free: dict[int, list[int]] = {}
    for number in range(large_start, large_stop):
        free.setdefault(_passes(number, left), []).append(number)
    return torch.tensor([free[_passes(number, left)].pop(0) for number in range(start, stop)])


def _passes(number: int, left: int) -> int:
    """How many of the `left` next blocks a channel passes before a main branch reads it."""
    return min(left, (number & -number).bit_length() - 1) if number else left


def _inner_places(small: Layer, large: Layer) -> Tensor:
    """The places of the channels inside a main branch, so that each is used by the same widths."""
    found: list[int] = []
    before = 0
    for width in range(len(WIDTHS)):
        first = large.mid_channels(width - 1) if width else 0
        count = small.mid_channels(width) - before
        found.extend(range(first, first + count))
        before += count
    return torch.tensor(found)


def _place_main(
    target: ChoiceBlock, source: ChoiceBlock, inputs: Tensor, inner: Tensor, outputs: Tensor
) -> None:
    """Copies a main branch, given the places of its input, inner and output channels."""
    entering = inputs
    last = len(source.main) - 1
    for position, (there, here) in enumerate(zip(source.main, target.main, strict=True)):
        leaving = outputs if position == last else inner
        if isinstance(there, ConvBN) and there.depthwise:
            leaving = entering
        _place(here, there, leaving, entering)
        entering = leaving


def _place(target: nn.Module, source: nn.Module, out: Tensor, inputs: Tensor) -> None:
    """Copies a ConvBN to the places of its filters and of their inputs."""
    assert isinstance(target, ConvBN)
    assert isinstance(source, ConvBN)
    if target.depthwise:
        target.conv.weight[out] = source.conv.weight
    else:
        target.conv.weight[out] = 0.0
        target.conv.weight[out[:, None], inputs] = source.conv.weight
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(target.bn, name)[out] = getattr(source.bn, name)
