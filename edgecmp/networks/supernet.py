"""Supernet: all architectures of a tier in one set of weights, and the extraction of subnets.

Source: Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling",
ECCV 2020, https://arxiv.org/abs/1904.00420; supplement A.2.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgecmp.networks.architecture import Architecture
from edgecmp.networks.blocks import ChoiceBlock, ConvBN, Embedding
from edgecmp.networks.query import QueryNet, initialise
from edgecmp.networks.tiers import BLOCKS, WIDTHS, tier

__all__ = ["LayerPath", "Supernet", "path_of"]

# Paths differ in their shapes, and oneDNN compiles a kernel for each: 20 layers x 4 blocks x 10
# widths exceed its cache of 1,024 kernels (a larger cache made training 1.5 times as fast).
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "65536")


@dataclass(frozen=True, slots=True)
class LayerPath:
    """One layer of a forward pass: the blocks whose outputs are averaged, and the width index."""

    blocks: tuple[int, ...]
    width: int


def path_of(architecture: Architecture) -> tuple[LayerPath, ...]:
    """The path of a single architecture: one block per layer."""
    return tuple(
        LayerPath((block,), width)
        for block, width in zip(architecture.blocks, architecture.widths, strict=True)
    )


class Supernet(nn.Module):
    """All four blocks of all 20 layers at full width; a path selects those that a pass uses.

    Args:
        tier_name: "330M", "230M" or "100M" (supplement A.2: one supernet per tier).
        embedding_dim: D of the (N, D) embeddings.
        input_size: height and width, in pixels, of the images of its architectures.
    """

    def __init__(self, tier_name: str, *, embedding_dim: int = 128, input_size: int = 224) -> None:
        super().__init__()
        space = tier(tier_name)
        self.tier = tier_name
        self.embedding_dim = embedding_dim
        self.input_size = input_size
        self.layer_specs = space.layers
        self.stem = ConvBN(3, space.stem_channels, kernel=3, stride=2)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                ChoiceBlock(
                    block,
                    in_channels=layer.in_channels,
                    out_channels=layer.out_channels,
                    mid_channels=layer.mid_channels(len(WIDTHS) - 1),
                    stride=layer.stride,
                )
                for block in range(len(BLOCKS))
            )
            for layer in space.layers
        )
        self.head = ConvBN(space.stage_channels[-1], space.head_channels)
        self.embedding = Embedding(space.head_channels, embedding_dim)
        initialise(self)

    def forward(self, x: Tensor, path: Sequence[LayerPath]) -> Tensor:
        """Normalised images (N, 3, H, W) through `path` to embeddings (N, D) of unit length."""
        x = self.stem(x)
        for spec, choices, step in zip(self.layer_specs, self.layers, path, strict=True):
            assert isinstance(choices, nn.ModuleList)
            mid = spec.mid_channels(step.width)
            outputs = [choices[block](x, mid) for block in step.blocks]
            x = outputs[0] if len(outputs) == 1 else torch.stack(outputs).mean(0)
        embeddings: Tensor = self.embedding(self.head(x).mean((2, 3)))
        return embeddings

    @torch.no_grad()
    def extract(self, architecture: Architecture) -> QueryNet:
        """A network with copies of the weights and batch-norm statistics of one path.

        In evaluation mode its output equals `forward(x, path_of(architecture))` bit for bit. Its
        statistics are those over all paths of the supernet: recalibrate them before evaluating it.
        """
        network = QueryNet(architecture)
        _copy(self.stem, network.stem)
        _copy(self.head, network.head)
        network.embedding.load_state_dict(self.embedding.state_dict())
        for choices, block, small in zip(
            self.layers, architecture.blocks, network.blocks, strict=True
        ):
            assert isinstance(choices, nn.ModuleList)
            assert isinstance(small, ChoiceBlock)
            large = choices[block]
            assert isinstance(large, ChoiceBlock)
            for source, target in zip(large.main, small.main, strict=True):
                _copy(source, target)
            if large.proj is not None and small.proj is not None:
                for source, target in zip(large.proj, small.proj, strict=True):
                    _copy(source, target)
        return network.train(self.training)


def _copy(source: nn.Module, target: nn.Module) -> None:
    """Copies the first filters of one ConvBN into a narrower one."""
    assert isinstance(source, ConvBN)
    assert isinstance(target, ConvBN)
    out, inputs = target.conv.out_channels, target.conv.in_channels
    target.conv.weight.copy_(source.sliced_weight(out, inputs))
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(target.bn, name).copy_(getattr(source.bn, name)[:out])
