"""The networks of the comparison, and stacks that measure the rate of 1x1 convolutions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from edgecmp.files import write_atomic
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import BLOCKS, DEPTH, TIERS

__all__ = ["RATE_SHAPES", "networks", "prepare", "rate_graph_macs", "rate_models"]

RATE_SHAPES = ((80, 28), (160, 28), (160, 14), (320, 14))
"""Channels and side of the feature maps of the stacked 1x1 convolutions."""

RATE_LAYERS = 8


def networks(count: int, input_size: int = 224) -> dict[str, Architecture]:
    """The first `count` networks: per tier, three that repeat one kind of block and a random one.

    The order alternates between tiers and kinds. If `count` is larger, random networks follow.
    """
    named: dict[str, Architecture] = {}
    kinds = ("shuffle7", "shuffle3", "xception", "random 0")
    for shift in range(len(kinds)):
        for index, tier in enumerate(TIERS):
            kind = kinds[(index + shift) % len(kinds)]
            named[f"{tier} {kind}"] = (
                Architecture(
                    tier=tier,
                    blocks=(BLOCKS.index(kind),) * DEPTH,
                    widths=(4,) * DEPTH,
                    input_size=input_size,
                )
                if kind in BLOCKS
                else Architecture.random(tier, seed=0, input_size=input_size)
            )
    for number in range(len(named), count):
        tier, seed = [*TIERS][number % len(TIERS)], number // len(TIERS) - 3
        named[f"{tier} random {seed}"] = Architecture.random(tier, seed=seed, input_size=input_size)
    return dict(list(named.items())[:count])


def rate_graph_macs(channels: int, side: int) -> int:
    """Multiply-adds of one stack of 1x1 convolutions."""
    return RATE_LAYERS * channels * channels * side * side


def rate_models(folder: Path) -> dict[str, Path]:
    """Writes the stacks of 1x1 convolutions with edgecmp's TFLite writer."""
    from edgecmp.export.formats.tflite.writer import tflite_bytes
    from edgecmp.export.lowering import Graph, LoweredNet
    from edgecmp.export.lowering.graph import IMAGE, Conv

    paths: dict[str, Path] = {}
    generator = torch.Generator().manual_seed(0)
    for channels, side in RATE_SHAPES:
        nodes = tuple(
            Conv(
                name=f"conv{index}",
                inputs=(f"conv{index - 1}" if index else IMAGE,),
                weight=torch.randn(channels, channels, 1, 1, generator=generator)
                * (2 / channels) ** 0.5,
                bias=torch.zeros(channels),
                relu=True,
            )
            for index in range(RATE_LAYERS)
        )
        graph = Graph(nodes=nodes, input_shape=(channels, side, side))
        name = f"{channels}x{side}x{side}"
        paths[name] = write_atomic(folder / f"1x1-{name}.tflite", tflite_bytes(LoweredNet(graph)))
    return paths


def prepare(architecture: Architecture, folder: Path) -> Path:
    """Writes a network (see `edgecmp.networks.random_weights`), an image and its embedding.

    Returns:
        The folder of the network; image.npy and embedding.npy are beside it.
    """
    from edgecmp.artefacts.bundle import QueryBundle
    from edgecmp.artefacts.manifest import Manifest
    from edgecmp.networks.random_weights import patch_images, random_network
    from edgecmp.preprocessing import Preprocessing

    place = folder / "network"
    if (folder / "embedding.npy").exists() and Architecture.load(place) == architecture:
        return place
    network = random_network(architecture, 0)
    manifest = Manifest(
        kind="query",
        preprocessing=Preprocessing(input_size=architecture.input_size).to_dict(),
        gallery_sha256="0" * 64,
    )
    QueryBundle(network=network, manifest=manifest).save(place)
    image = patch_images(1, architecture.input_size, 1)
    with torch.no_grad():
        np.save(folder / "image.npy", image.numpy())
        np.save(folder / "embedding.npy", network(image).numpy())
    return place
