"""Channel pruning: LASSO selects channels, and least squares refits the next convolution.

Source: He et al., "Channel Pruning for Accelerating Very Deep Neural Networks", ICCV 2017,
https://arxiv.org/abs/1707.06168.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from pytorchcv.models.resnet import ResUnit
from torch import Tensor, nn

from edgecmp.networks.gallery import GalleryNet
from edgecmp.networks.pruned import Kept, keep_channels, unit_body
from edgecmp.progress import progress
from edgecmp.pruning.lasso import Floats, moments, select_channels
from edgecmp.pruning.registry import register_method

__all__ = ["prune_channel", "reconstruct"]

POSITIONS = 10
"""Number of sampled pixels of a response per image, as in the paper."""
BATCH = 64

States = list[tuple[Tensor, Tensor]]
"""Batches of the inputs of a module: in the original network, and in the network pruned so far."""


@register_method("channel")
@torch.no_grad()
def prune_channel(network: GalleryNet, kept: Kept, images: Tensor, *, seed: int) -> None:
    """Prunes the network layer by layer, from the images to the embedding; see `Method`.

    For each inner convolution, LASSO selects the channels that it passes to the next convolution,
    whose weights are then refitted by least squares. The inputs come from the network pruned so
    far and the responses from the original network, so that later layers compensate for the errors
    of earlier ones; the last convolution of a unit also compensates for the error of the shortcut.
    Batch norm is treated as part of the convolution before it.
    """
    generator = torch.Generator().manual_seed(seed)
    original = copy.deepcopy(network)
    states: States = [(batch, batch) for batch in torch.split(images, BATCH)]
    counts = iter(kept)
    with progress("Pruning channels", total=len(kept), unit="residual unit") as bar:
        for before, now in zip(_steps(original.features), _steps(network.features), strict=True):
            if isinstance(now, ResUnit):
                _prune_unit(before, now, next(counts), states, generator)
                bar.advance()
            states = [(before(was), now(is_)) for was, is_ in states]


def _steps(features: nn.Module) -> Iterator[nn.Module]:
    """The modules in forward order; a residual unit is one module."""
    for module in features.children():
        if isinstance(module, nn.Sequential):
            yield from _steps(module)
        else:
            yield module


def _prune_unit(
    before: Any, now: Any, counts: tuple[int, ...], states: States, generator: torch.Generator
) -> None:
    """Prunes the inner convolutions of one unit, first to last."""
    blocks: list[Any] = unit_body(now)
    for place, count in enumerate(counts):
        producer, consumer = blocks[place], blocks[place + 1]
        if count == producer.conv.out_channels:
            continue
        scale = _bn_scale(consumer.bn)  # (O,)
        inputs, responses = _sample(before, now, place, states, generator)
        weight = scale[:, None, None] * _array(consumer.conv.weight.flatten(2))  # (O, C, K)
        channels = select_channels(*moments(inputs, responses, weight), count)
        refitted = reconstruct(inputs[:, channels], responses, weight[:, channels])
        keep_channels(producer, consumer, torch.from_numpy(channels))
        active = np.abs(scale) > 1e-6 * np.abs(scale).max()  # the others do not determine weights
        rows = torch.from_numpy(refitted[active] / scale[active, None, None])
        target = consumer.conv.weight
        target[torch.from_numpy(active)] = rows.view(-1, *target.shape[1:]).to(target.dtype)


def reconstruct(inputs: Floats, responses: Floats, weight: Floats) -> Floats:
    """The weights (O, C, K) whose responses to the inputs are nearest to the given ones.

    This is the least-squares solution with the smallest change of the weights: directions that the
    samples do not determine keep their trained weights.

    Args:
        inputs: (P, C, K) patches of the remaining channels.
        responses: (P, O) responses of the original network.
        weight: (O, C, K) trained weights.
    """
    flat = inputs.reshape(len(inputs), -1)  # (P, C K)
    trained = weight.reshape(len(weight), -1)  # (O, C K)
    change, *_ = np.linalg.lstsq(flat, responses - flat @ trained.T, rcond=None)
    result: Floats = (trained + change.T).reshape(weight.shape)
    return result


def _sample(
    before: Any, now: Any, place: int, states: States, generator: torch.Generator
) -> tuple[Floats, Floats]:
    """Samples inputs and wanted responses of the convolution after inner convolution `place`.

    Returns:
        Patches (P, C, K) of its inputs in the network pruned so far, and its responses (P, O) in
        the original network, multiplied by the batch norm's scale; at the end of a unit the error
        of the shortcut is added.
    """
    old, new = unit_body(before), unit_body(now)
    consumer: Any = old[place + 1]
    scale = torch.from_numpy(_bn_scale(consumer.bn)).float()
    inputs, responses = [], []
    for was, is_ in states:
        wanted = consumer.conv(_through(old[: place + 1], was)) * scale[:, None, None]
        if place + 2 == len(old):
            wanted = wanted + _shortcut(before, was) - _shortcut(now, is_)
        spots = _spots(wanted, generator)
        inputs.append(_patches(_through(new[: place + 1], is_), consumer.conv, spots))
        image, row, column = spots
        responses.append(wanted[image, :, row, column])
    return _array(torch.cat(inputs)), _array(torch.cat(responses))


def _through(blocks: list[nn.Module], x: Tensor) -> Tensor:
    for block in blocks:
        x = block(x)
    return x


def _shortcut(unit: Any, x: Tensor) -> Tensor:
    """The shortcut of a unit: what it adds to the output of its body."""
    result: Tensor = unit.identity_conv(x) if unit.resize_identity else x
    return result


def _spots(maps: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Image, row and column (P,) of `POSITIONS` distinct pixels of each map (N, O, H, W)."""
    images, _, height, width = maps.shape
    places = torch.rand(images, height * width, generator=generator).argsort(1)[:, :POSITIONS]
    image = torch.arange(images).repeat_interleave(places.shape[1])
    return image, places.flatten() // width, places.flatten() % width


def _patches(maps: Tensor, convolution: nn.Conv2d, spots: tuple[Tensor, ...]) -> Tensor:
    """The patches (P, C, K) of maps (N, C, H, W) that the convolution reads for the spots."""
    image, row, column = spots
    (down, right), (height, width) = convolution.stride, convolution.kernel_size
    top, left = (int(side) for side in convolution.padding)
    padded = nn.functional.pad(maps, (left, left, top, top))
    return torch.stack(
        [
            padded[image, :, row * down + y, column * right + x]
            for y in range(height)
            for x in range(width)
        ],
        dim=2,
    )


def _bn_scale(norm: nn.BatchNorm2d) -> Floats:
    """The factor (O,) by which batch norm multiplies each channel."""
    assert norm.running_var is not None
    return _array(norm.weight / (norm.running_var + norm.eps).sqrt())


def _array(tensor: Tensor) -> Floats:
    return tensor.detach().double().numpy()
