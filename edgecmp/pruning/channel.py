"""Channel pruning: LASSO picks channels, least squares mends the next layer (He et al. 2017)."""

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
"""Pixels of a response that are drawn from each image, as in the paper."""
BATCH = 64

States = list[tuple[Tensor, Tensor]]
"""Batches of what enters a module: in the network as it was, and as it is by now."""


@register_method("channel")
@torch.no_grad()
def prune_channel(network: GalleryNet, kept: Kept, images: Tensor, *, seed: int) -> None:
    """Cuts the network layer by layer, from the images to the embedding. See `Method`.

    For each inner convolution, the channels that it hands to the next convolution are picked by
    LASSO, and then the next convolution's weights by least squares. Inputs come from the network as
    pruned so far and responses from the network as it was, so later layers make up for what earlier
    ones lost; the last convolution of a unit makes up for what the shortcut lost too. Batch norm
    counts as part of the convolution before it.
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
    """The modules that the images pass one after the other; residual units stay whole."""
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
        inputs, responses = _draw(before, now, place, states, generator)
        weight = scale[:, None, None] * _array(consumer.conv.weight.flatten(2))  # (O, C, K)
        channels = select_channels(*moments(inputs, responses, weight), count)
        mended = reconstruct(inputs[:, channels], responses, weight[:, channels])
        keep_channels(producer, consumer, torch.from_numpy(channels))
        live = np.abs(scale) > 1e-6 * np.abs(scale).max()  # the others say nothing of their weights
        rows = torch.from_numpy(mended[live] / scale[live, None, None])
        target = consumer.conv.weight
        target[torch.from_numpy(live)] = rows.view(-1, *target.shape[1:]).to(target.dtype)


def reconstruct(inputs: Floats, responses: Floats, weight: Floats) -> Floats:
    """The weights (O, C, K) whose responses to the inputs are nearest to those wanted.

    Least squares for the change of the weights: where the samples leave weights open, the trained
    ones stay as they are.

    Args:
        inputs: (P, C, K) patches of the channels that are left.
        responses: (P, O) wanted.
        weight: (O, C, K) trained.
    """
    flat = inputs.reshape(len(inputs), -1)  # (P, C K)
    trained = weight.reshape(len(weight), -1)  # (O, C K)
    change, *_ = np.linalg.lstsq(flat, responses - flat @ trained.T, rcond=None)
    result: Floats = (trained + change.T).reshape(weight.shape)
    return result


def _draw(
    before: Any, now: Any, place: int, states: States, generator: torch.Generator
) -> tuple[Floats, Floats]:
    """Samples of what the convolution after inner convolution `place` reads and should answer.

    Returns:
        Patches (P, C, K) of its inputs in the network by now, and responses (P, O) after batch
        norm's scale in the network as it was, with the shortcut's loss added at a unit's end.
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
    """What the unit adds to its body's outputs."""
    result: Tensor = unit.identity_conv(x) if unit.resize_identity else x
    return result


def _spots(maps: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Image, row and column (P,) of `POSITIONS` different pixels of each map (N, O, H, W)."""
    images, _, height, width = maps.shape
    places = torch.rand(images, height * width, generator=generator).argsort(1)[:, :POSITIONS]
    image = torch.arange(images).repeat_interleave(places.shape[1])
    return image, places.flatten() // width, places.flatten() % width


def _patches(maps: Tensor, convolution: nn.Conv2d, spots: tuple[Tensor, ...]) -> Tensor:
    """What the convolution reads of maps (N, C, H, W) for outputs at the spots: (P, C, K)."""
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
    """What batch norm multiplies each channel by, (O,)."""
    assert norm.running_var is not None
    return _array(norm.weight / (norm.running_var + norm.eps).sqrt())


def _array(tensor: Tensor) -> Floats:
    return tensor.detach().double().numpy()
