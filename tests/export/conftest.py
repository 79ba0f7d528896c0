"""Random networks (see `networks.random_weights`), a small trained-like bundle and its exports."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.artefacts.manifest import Manifest
from edgecmp.export import export, targets
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.baselines import BaselineNet, random_baseline
from edgecmp.networks.query import QueryNet
from edgecmp.networks.random_weights import patch_images
from edgecmp.networks.random_weights import random_network as _random_network
from edgecmp.networks.recalibrate import recalibrate
from edgecmp.preprocessing import Preprocessing

MakeNetwork = Callable[[Architecture, int], QueryNet]
MakeImages = Callable[[int, int, int], Tensor]
Exported = Callable[..., Path]


@pytest.fixture(scope="session")
def images() -> MakeImages:
    """images(count, size, seed): see `patch_images`."""
    return patch_images


@pytest.fixture(scope="session")
def random_network() -> MakeNetwork:
    """random_network(architecture, seed): see `edgecmp.networks.random_weights`."""
    return _random_network


@pytest.fixture(scope="session")
def query_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small query network, as training writes it."""
    architecture = Architecture.random("100M", seed=3, embedding_dim=32, input_size=64)
    network = _random_network(architecture, 3)
    return _saved(network, network.embedding.bn, tmp_path_factory.mktemp("bundle") / "query")


@pytest.fixture(scope="session")
def baseline_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a baseline with a quarter of the operators, which converters are done with soon.

    For what is true of a format, whatever the network.
    """
    network = random_baseline("mobilenet_wd2", 64, 3)
    network.architecture = network.architecture.resized(64)
    return _saved(network, network.bn, tmp_path_factory.mktemp("baseline") / "query")


def _saved(network: QueryNet | BaselineNet, last: nn.BatchNorm1d, folder: Path) -> Path:
    """The network in a bundle.

    Random networks amplify rounding many times more than trained ones do. This one is kept calm:
    most of its ReLUs let pass, and its embeddings keep some of their mean.
    """
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.bias.add_(1)
        last.bias.add_(0.5)
    recalibrate(network, [patch_images(32, 64, 4)])
    manifest = Manifest(
        kind="query",
        preprocessing=Preprocessing(input_size=64).to_dict(),
        gallery_sha256="ab" * 32,
    )
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
