"""LayerwiseEmbedder: embeds the same images with many recalibrated subnets, sharing prefixes.

The direct way to evaluate a subnet is to extract it, recalibrate its batch norms on the calibration
images and embed the hold-out. Here both sets of images pass through the subnet together, one layer
at a time: once a layer has processed all calibration images, its batch-norm statistics are known
and the other images can follow. The output of a layer depends only on the choices up to that layer,
so it can be cached for later subnets with the same first choices.

Two further optimisations differ from the direct way by float rounding only. For the images to be
embedded, batch norms are folded into the convolutions. And the statistics are computed over rows
that combine many neighbouring positions: torch's kernel for channels_last sums the positions one by
one, which is slow below 16 channels and loses precision (embeddings then differed by 1e-4 from
those in float64; here, as in torch's default layout, by 5e-7).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from edgecmp.networks.architecture import Architecture
from edgecmp.networks.blocks import ChoiceBlock, ConvBN, even_odd_split
from edgecmp.networks.feature_cache import PrefixCache
from edgecmp.networks.supernet import Supernet

__all__ = ["CACHE_BYTES", "LayerwiseEmbedder"]

CACHE_BYTES = 3 * 2**30
"""Default bound of the cache: at 64 px and 1,803 images the 40 first layers of a 100M tier."""

WIDE = 4096
"""Largest number of values in a row of combined positions; short sums are exact to 1e-6."""


class LayerwiseEmbedder:
    """Embeds fixed images with any subnet of a supernet, recalibrated on other fixed images.

    An embedding does not depend on what was embedded before: the cached maps are bit for bit those
    that would be computed again.

    Args:
        supernet: the supernet, which must not change while the embedder is used.
        calibration: normalised images (N, 3, S, S), of equal N; a batch norm's statistics are the
            plain average over these batches, as in `recalibrate`.
        images: normalised images (N, 3, S, S) to embed.
        cache_bytes: bound of the cached feature maps; 0 disables the cache.
    """

    def __init__(
        self,
        supernet: Supernet,
        calibration: Sequence[Tensor],
        images: Sequence[Tensor],
        *,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._supernet = supernet
        self._calibration = len(calibration)
        self.cache = PrefixCache(cache_bytes)
        with torch.inference_mode():
            stem = _Norm(supernet.stem, 3)
            self._start = self._through(stem, (*calibration, *images))

    @torch.inference_mode()
    def embed(self, architecture: Architecture) -> NDArray[Any]:
        """The embeddings of all images by the recalibrated subnet, float32 (N, D)."""
        choices = tuple(zip(architecture.blocks, architecture.widths, strict=True))
        done, cached = self.cache.longest(choices)
        maps = cached or self._start
        for index in range(done, len(choices)):
            block, width = choices[index]
            spec, layer = self._supernet.layer_specs[index], self._supernet.layers[index]
            assert isinstance(layer, nn.ModuleList)
            choice = layer[block]
            assert isinstance(choice, ChoiceBlock)
            maps = self._through(_Block(choice, spec.mid_channels(width)), maps)
            self.cache.keep(choices[: index + 1], maps)
        return self._embedded(maps)

    def _through(self, layer: _Norm | _Block, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The outputs of a layer for feature maps, those of the calibration images first."""
        return tuple(layer(x, number < self._calibration) for number, x in enumerate(maps))

    def _embedded(self, maps: Sequence[Tensor]) -> NDArray[Any]:
        """Feature maps of the last layer to embeddings."""
        head = _Norm(self._supernet.head, maps[0].shape[1])
        linear, bn = self._supernet.embedding.linear, self._supernet.embedding.bn
        values = [linear(x.mean((2, 3))) for x in self._through(head, maps)]
        means = torch.stack([x.mean(0) for x in values[: self._calibration]])
        variances = torch.stack([x.var(0) for x in values[: self._calibration]])
        last = torch.cat(values[self._calibration :])
        last = F.batch_norm(
            last, means.mean(0), variances.mean(0), bn.weight, bn.bias, False, 0.0, bn.eps
        )
        embeddings: NDArray[Any] = F.normalize(last, dim=1).numpy()
        return embeddings


class _Norm:
    """One `ConvBN` at some width; it must process the calibration images before the others."""

    def __init__(self, layer: ConvBN, inputs: int, out: int | None = None) -> None:
        out = layer.conv.out_channels if out is None else out
        self.conv, self.relu, self.eps = layer.conv, layer.relu, layer.bn.eps
        weight = layer.sliced_weight(out, inputs)
        self.weight = weight.contiguous(memory_format=torch.channels_last)
        self.groups = out if layer.depthwise else 1
        self.gamma, self.beta = layer.bn.weight[:out], layer.bn.bias[:out]
        self.means: list[Tensor] = []
        self.variances: list[Tensor] = []

    def __call__(self, x: Tensor, calibrates: bool) -> Tensor:
        """(N, C, H, W) to (N, out, H', W'), normalised over `x` if it calibrates."""
        if not calibrates:
            x = self._convolved(x, *self._folded)
        else:
            x = self._convolved(x, self.weight).contiguous(memory_format=torch.channels_last)
            mean, variance = self._moments(x)
            count = x.numel() // x.shape[1]
            self.means.append(mean)
            self.variances.append(variance * (count / (count - 1)))
            scale = self.gamma * torch.rsqrt(variance + self.eps)
            rows, times = _rows(x)
            torch.addcmul(
                (self.beta - mean * scale).repeat(times), rows, scale.repeat(times), out=rows
            )
        return F.relu_(x) if self.relu else x

    def _convolved(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        conv = self.conv
        return F.conv2d(x, weight, bias, conv.stride, conv.padding, groups=self.groups)

    @staticmethod
    def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and biased variance of each channel, (C,) each."""
        rows, times = _rows(x)
        wide = rows.T[None, :, :, None]  # (1, times * C, positions, 1), channels_last
        means, variances = torch.batch_norm_update_stats(wide, None, None, 0.0)
        means, variances = means.view(times, -1), variances.view(times, -1)
        return means.mean(0), variances.mean(0) + means.var(0, correction=0)

    @cached_property
    def _folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the convolution with its batch norm folded in."""
        mean = torch.stack(self.means).mean(0)
        scale = self.gamma * torch.rsqrt(torch.stack(self.variances).mean(0) + self.eps)
        return self.weight * scale[:, None, None, None], self.beta - mean * scale


def _rows(x: Tensor) -> tuple[Tensor, int]:
    """A view (positions, times * C) of (N, C, H, W) in channels_last memory, and `times`."""
    n, channels, height, width = x.shape
    positions, times = n * height * width, 1
    while positions % (2 * times) == 0 and 2 * times * channels <= WIDE:
        times *= 2
    return x.permute(0, 2, 3, 1).view(positions // times, times * channels), times


class _Block:
    """A `ChoiceBlock` at some width, made of `_Norm`s."""

    def __init__(self, choice: ChoiceBlock, mid: int) -> None:
        self.main = self._norms(
            choice.main, [choice.outputs_of(position, mid) for position in range(len(choice.main))]
        )
        self.proj: list[_Norm] | None = None
        if choice.proj is not None:
            self.proj = self._norms(choice.proj, [None] * len(choice.proj))

    @staticmethod
    def _norms(layers: nn.Sequential | nn.ModuleList, outs: Sequence[int | None]) -> list[_Norm]:
        norms: list[_Norm] = []
        for layer, out in zip(layers, outs, strict=True):
            assert isinstance(layer, ConvBN)
            inputs = len(norms[-1].gamma) if norms else layer.conv.in_channels
            norms.append(_Norm(layer, inputs, out))
        return norms

    def __call__(self, x: Tensor, calibrates: bool) -> Tensor:
        """(N, in, H, W) to (N, out, H / stride, W / stride), as `ChoiceBlock.forward` does."""
        if self.proj is None:
            passed, x = even_odd_split(x)
        else:
            passed = x
            for norm in self.proj:
                passed = norm(passed, calibrates)
        for norm in self.main:
            x = norm(x, calibrates)
        return torch.cat((passed, x), 1)
