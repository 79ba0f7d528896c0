"""Networks whose embeddings differ from image to image, so that agreement means something.

A freshly initialised network maps every image to nearly the same embedding; any two such networks
would "agree". `live_network` gives each batch norm random weights and the statistics of real
inputs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecmp.architecture import Architecture
from edgecmp.bundle import Manifest, QueryBundle
from edgecmp.export import export, targets
from edgecmp.networks.query import QueryNet
from edgecmp.networks.recalibrate import recalibrate
from edgecmp.preprocessing import Preprocessing

MakeNetwork = Callable[[Architecture, int], QueryNet]
MakeImages = Callable[[int, int, int], Tensor]
Exported = Callable[..., Path]


def _images(count: int, size: int, seed: int) -> Tensor:
    """Normalised images (N, 3, S, S) in -1..1: coloured patches at three scales."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.zeros(count, 3, size, size)
    for cells in (2, 7, 23):
        patches = torch.rand(count, 3, cells, cells, generator=generator) * 2 - 1
        images += F.interpolate(patches, size=(size, size), mode="nearest")
    return images.clamp(-1, 1)


@torch.no_grad()
def _live_network(architecture: Architecture, seed: int) -> QueryNet:
    """A network of that shape in evaluation mode; see the module."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = architecture.build()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(0.0, 1.0)
        network.embedding.bn.weight.uniform_(0.5, 1.5)
        recalibrate(network, [_images(8, architecture.input_size, seed + 1)])
    return network


@pytest.fixture(scope="session")
def images() -> MakeImages:
    """images(count, size, seed): see `_images`."""
    return _images


@pytest.fixture(scope="session")
def live_network() -> MakeNetwork:
    """live_network(architecture, seed): see the module."""
    return _live_network


@pytest.fixture(scope="session")
def query_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small query network, as training writes it.

    Random networks amplify rounding many times more than trained ones do. This one is kept calm:
    most of its ReLUs let pass, and its embeddings keep some of their mean.
    """
    architecture = Architecture.random("100M", seed=3, embedding_dim=32, input_size=64)
    network = _live_network(architecture, 3)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.bias.add_(1)
        network.embedding.bn.bias.add_(0.5)
    recalibrate(network, [_images(32, architecture.input_size, 4)])
    manifest = Manifest(
        kind="query",
        preprocessing=Preprocessing(input_size=64).to_dict(),
        gallery_sha256="ab" * 32,
    )
    folder = tmp_path_factory.mktemp("bundle") / "query"
    QueryBundle(network=network, manifest=manifest).save(folder)
    return folder


@pytest.fixture(scope="session")
def exported(query_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """exported(target, precision, input): the network of `query_folder` as a file, made once."""
    folder = tmp_path_factory.mktemp("exported")

    @functools.cache
    def make(target: str, precision: str, input: str = "tensor") -> Path:
        out = folder / f"{input}-{precision}{targets()[target].suffix}"
        return export(
            target, model=query_folder, precision=precision, input=input, data="emoji", out=out
        ).path

    return make
