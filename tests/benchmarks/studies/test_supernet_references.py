"""What the speed of the supernet is compared with computes the same numbers."""

from __future__ import annotations

import torch

from edgecmp import kit
from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.benchmarks.studies.supernet_references import (
    masked_forward,
    mean_architecture,
    with_torch_gradients,
)
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.random_weights import patch_images
from edgecmp.networks.supernet import path_of
from edgecmp.search.space.flops import FlopsTable


def test_masked_equals_sliced() -> None:
    network = SupernetBundle.load(kit.path("supernet")).network.eval()
    size = {"embedding_dim": network.embedding_dim, "input_size": network.input_size}
    path = path_of(Architecture.random(network.tier, seed=3, **size))
    images = patch_images(2, network.input_size, 0)
    with torch.inference_mode():
        expected = network(images, path)
        torch.testing.assert_close(masked_forward(network, images, path), expected)
        torch.testing.assert_close(with_torch_gradients(network)(images, path), expected)


def test_the_mean_architecture_has_the_mean_flops() -> None:
    network = SupernetBundle.load(kit.path("supernet")).network
    table = FlopsTable.of(network.tier, network.input_size, network.embedding_dim)
    size = {"embedding_dim": network.embedding_dim, "input_size": network.input_size}
    counts = [
        table.count(Architecture.random(network.tier, seed=seed, **size)) for seed in range(50)
    ]
    count = table.count(mean_architecture(network, draws=50))
    assert count in counts
    assert abs(count - sum(counts) / 50) <= min(abs(one - sum(counts) / 50) for one in counts)
