"""Gallery networks: large models for the server, of pytorchcv's ResNet units."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from pytorchcv.models.resnet import ResUnit, resnet101
from torch import Tensor, nn

from edgecmp.errors import unknown_choice
from edgecmp.networks.query import initialise

__all__ = ["GALLERIES", "GalleryNet", "build_gallery", "register_gallery"]

GALLERIES: dict[str, Callable[[int], tuple[nn.Module, int]]] = {}
"""Builders by name: they take the input size in pixels and return (features, channels)."""


def register_gallery(
    name: str,
) -> Callable[[Callable[[int], tuple[nn.Module, int]]], Callable[[int], tuple[nn.Module, int]]]:
    """Registers a function that builds the features of a gallery network."""

    def register(
        build: Callable[[int], tuple[nn.Module, int]],
    ) -> Callable[[int], tuple[nn.Module, int]]:
        GALLERIES[name] = build
        return build

    return register


class GalleryNet(nn.Module):
    """Convolutional features, global average pooling and a linear embedding of unit length.

    Raises:
        UserError: there is no such gallery network; the message lists them.
    """

    def __init__(self, name: str, *, embedding_dim: int, input_size: int) -> None:
        super().__init__()
        if name not in GALLERIES:
            raise unknown_choice("gallery network", name, GALLERIES)
        self.name = name
        self.embedding_dim = embedding_dim
        self.input_size = input_size
        self.features, channels = GALLERIES[name](input_size)
        self.embedding = nn.Linear(channels, embedding_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) to embeddings (N, D) of unit length."""
        x = self.features(x).mean((2, 3))
        return F.normalize(self.embedding(x).float(), dim=1)


def build_gallery(name: str, *, embedding_dim: int = 128, input_size: int = 224) -> GalleryNet:
    """The gallery network of that name with random initial weights.

    Raises:
        UserError: there is no such gallery network; the message lists them.
    """
    return GalleryNet(name, embedding_dim=embedding_dim, input_size=input_size)


@register_gallery("resnet101")
def _resnet101(input_size: int) -> tuple[nn.Module, int]:
    """The paper's gallery model, in pytorchcv's form (stride in the first 1x1 convolution)."""
    features = resnet101(in_size=(input_size, input_size)).features
    del features.final_pool
    return features, 2048


@register_gallery("resnet18s")
def _resnet18s(input_size: int) -> tuple[nn.Module, int]:
    """ResNet-18 for small images: a 3x3 stem of stride 2, no pooling, three quarters of the width.

    It has 6.3 M parameters: two CPU cores can train it, and the starter kit can include it.
    """
    del input_size
    return _small_resnet(48, (48, 96, 192, 384), bottleneck=False)


@register_gallery("resnet26s")
def _resnet26s(input_size: int) -> tuple[nn.Module, int]:
    """Eight bottleneck units for small images: what supplement C prunes, at the scale of a CPU.

    It has 2.0 M parameters. Each unit has a 1x1, a 3x3 and a 1x1 convolution, as in ResNet-101.
    """
    del input_size
    return _small_resnet(32, (96, 192, 384, 768), bottleneck=True)


def _small_resnet(stem: int, stages: tuple[int, ...], *, bottleneck: bool) -> tuple[nn.Module, int]:
    """A 3x3 stem of stride 2, then two residual units per stage, given by their channels."""
    features = nn.Sequential(
        nn.Conv2d(3, stem, 3, 2, 1, bias=False), nn.BatchNorm2d(stem), nn.ReLU(inplace=True)
    )
    channels = stem
    for stage, out_channels in enumerate(stages):
        for repeat in range(2):
            stride = 2 if stage and not repeat else 1
            features.append(ResUnit(channels, out_channels, stride, bottleneck=bottleneck))
            channels = out_channels
    initialise(features)
    return features, channels
