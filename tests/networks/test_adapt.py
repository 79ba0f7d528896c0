"""A new head computes the fitted map up to scale, and the body before it is not changed."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from edgecmp.networks.adapt import (
    HeadSample,
    head_paths,
    pooled_features,
    recalibrate_paths,
    refit_head,
    refit_shared_head,
)
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.random_weights import patch_images, random_network, randomise_norms
from edgecmp.networks.recalibrate import recalibrate
from edgecmp.networks.ridge import RIDGES
from edgecmp.networks.supernet import LayerPath, Supernet, path_of
from edgecmp.networks.tiers import DEPTH

IMAGES = 48


def _sample(embedding_dim: int, size: int = 32) -> HeadSample:
    """Two batches of images whose targets are a linear map of their colours."""
    images = patch_images(IMAGES, size, seed=1)
    generator = torch.Generator().manual_seed(embedding_dim)
    colours = (images.mean((2, 3)) + 0.05) @ torch.randn(3, embedding_dim, generator=generator)
    targets = F.normalize(colours, dim=1)
    return HeadSample(
        batches=images.chunk(2), targets=targets, held_out=torch.arange(IMAGES) % 4 == 0
    )


def _cosine(found: Tensor, sample: HeadSample) -> float:
    """Mean cosine to the targets."""
    return float(F.cosine_similarity(found.double(), sample.targets.double()).mean())


def _supernet() -> Supernet:
    torch.manual_seed(0)
    supernet = Supernet("100M", embedding_dim=16, input_size=32).eval()
    with torch.no_grad():
        randomise_norms(supernet)
    return supernet


def _body(module: torch.nn.Module) -> dict[str, Tensor]:
    """The weights before the head."""
    return {
        name: value.clone()
        for name, value in module.named_parameters()
        if not name.startswith("embedding")
    }


@pytest.mark.parametrize("dim", [64, 1280])
def test_a_network_computes_the_fitted_map_in_both_modes(dim: int) -> None:
    network = random_network(
        Architecture.random("100M", seed=3, embedding_dim=16, input_size=32), seed=4
    )
    before, sample = _body(network), _sample(dim)
    fit = refit_head(network, sample)
    assert network.architecture.embedding_dim == dim
    for name, value in _body(network).items():
        assert torch.equal(value, before[name])
    images = torch.cat(list(sample.batches))
    with torch.no_grad():
        features = network.features(images)
        expected = F.normalize(fit(features), dim=1)
        torch.testing.assert_close(network(images).double(), expected, atol=2e-5, rtol=0)
        head = network.embedding
        values = head.linear(features)  # what a batch norm in training mode would see
    torch.testing.assert_close(head.bn.running_mean, values.mean(0), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(head.bn.running_var, values.var(0), atol=1e-4, rtol=1e-4)
    constant = _cosine(sample.targets.mean(0, keepdim=True), sample)
    assert _cosine(expected, sample) > constant + 0.1


def test_the_output_of_the_linear_layer_has_unit_variance_and_the_norm_weights_of_one() -> None:
    network = random_network(
        Architecture.random("100M", seed=5, embedding_dim=16, input_size=32), seed=6
    )
    refit_head(network, _sample(32))
    head = network.embedding
    assert head.bn.running_var is not None
    torch.testing.assert_close(head.bn.running_var, torch.ones(32))
    assert head.bn.weight.square().mean().sqrt().item() == pytest.approx(1.0, abs=1e-4)


def test_a_constant_value_of_the_embeddings_stays_constant() -> None:
    network = random_network(
        Architecture.random("100M", seed=5, embedding_dim=16, input_size=32), seed=6
    )
    sample = _sample(8)
    targets = sample.targets.clone()
    targets[:, 3] = 0.0
    fit = refit_head(
        network, HeadSample(batches=sample.batches, targets=targets, held_out=sample.held_out)
    )
    assert all(value.isfinite().all() for value in network.state_dict().values())
    with torch.no_grad():
        found = network(torch.cat(list(sample.batches)))
    assert found[:, 3].abs().max() < 1e-5
    assert fit.ridge in RIDGES


def test_a_supernet_shares_its_new_head_and_extracts_subnets_bit_for_bit() -> None:
    supernet, sample = _supernet(), _sample(64)
    before = _body(supernet)
    refit_shared_head(supernet, sample, seed=7)
    assert supernet.embedding_dim == 64
    for name, value in _body(supernet).items():
        assert torch.equal(value, before[name])
    images = torch.cat(list(sample.batches))
    constant = _cosine(sample.targets.mean(0, keepdim=True), sample)
    for architecture in head_paths("100M", embedding_dim=64, input_size=32, seed=7):
        subnet = supernet.extract(architecture)
        with torch.no_grad():
            assert torch.equal(subnet(images), supernet(images, path_of(architecture)))
        recalibrate(subnet, sample.batches)
        with torch.no_grad():
            assert _cosine(subnet(images), sample) > constant + 0.1
    largest, *others = head_paths("100M", embedding_dim=64, input_size=32, seed=7)
    assert set(largest.widths) == {9}
    assert len(set(others)) == len(others) == 3


def test_the_same_seed_fits_the_same_head() -> None:
    heads = []
    for seed in (1, 1, 2):
        supernet = _supernet()
        refit_shared_head(supernet, _sample(16), seed=seed)
        heads.append(supernet.embedding.linear.weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_pooled_features_are_those_of_the_recalibrated_network() -> None:
    network = _supernet().extract(Architecture.random("100M", seed=0, embedding_dim=16))
    batches = _sample(8).batches
    found = pooled_features(network, batches)
    with torch.no_grad():
        for layer in (network.stem, network.head):
            assert not torch.equal(layer.bn.running_mean, torch.zeros_like(layer.bn.running_mean))  # type: ignore[arg-type]
        torch.testing.assert_close(
            network.embedding(found), network(torch.cat(list(batches))), atol=1e-5, rtol=0
        )


def test_statistics_of_another_size_are_those_of_its_images() -> None:
    """Along a path of one block at full width, as a network of its own that is recalibrated."""
    supernet, batches = _supernet(), _sample(8, size=64).batches
    before = _body(supernet)
    recalibrate_paths(supernet, batches)
    for name, value in _body(supernet).items():
        assert torch.equal(value, before[name])
    for block in range(4):
        architecture = Architecture(
            tier="100M", blocks=(block,) * DEPTH, widths=(9,) * DEPTH, embedding_dim=16
        )
        assert path_of(architecture) == (LayerPath((block,), 9),) * DEPTH
        subnet = supernet.extract(architecture)
        found = [b.main[0].bn.running_mean.clone() for b in subnet.blocks]  # type: ignore[union-attr, index]
        recalibrate(subnet, batches)
        for mean, small in zip(found, subnet.blocks, strict=True):
            torch.testing.assert_close(mean, small.main[0].bn.running_mean)  # type: ignore[union-attr, index]
