"""Channel pruning: the least squares, and how much of a real network is preserved."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from edgecmp import kit
from edgecmp.artefacts.bundle import GalleryBundle
from edgecmp.networks.pruned import residual_units, unit_body
from edgecmp.networks.recalibrate import recalibrate
from edgecmp.pruning import prune
from edgecmp.pruning.channel import reconstruct
from edgecmp.pruning.lasso import moments, select_channels
from tests.fixtures.pruning_networks import PREPROCESSING, drawings, inner_pairs, random_gallery


@pytest.fixture(scope="module")
def gallery() -> GalleryBundle:
    return random_gallery("resnet26s")


def problem(seed: int, samples: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(samples, 5, 9)).clip(0)
    weight = random.normal(size=(4, 5, 9))
    return inputs, random.normal(size=(samples, 4)), weight


def error(inputs: NDArray[Any], responses: NDArray[Any], weight: NDArray[Any]) -> float:
    return float(((np.einsum("pck,ock->po", inputs, weight) - responses) ** 2).sum())


@pytest.mark.parametrize("seed", range(4))
def test_least_squares_is_that_of_scipy(seed: int) -> None:
    inputs, responses, weight = problem(seed, 80)
    expected, *_ = scipy.linalg.lstsq(inputs.reshape(80, -1), responses)
    mended = reconstruct(inputs, responses, weight)
    np.testing.assert_allclose(mended.reshape(4, -1), expected.T, atol=1e-10)
    assert error(inputs, responses, mended) <= error(inputs, responses, weight)


def test_weights_that_the_samples_do_not_determine_do_not_change() -> None:
    inputs, responses, weight = problem(0, 30)  # 30 samples for 45 weights
    inputs[:, 2] = 0
    mended = reconstruct(inputs, responses, weight)
    np.testing.assert_array_equal(mended[:, 2].round(10), weight[:, 2].round(10))
    assert error(inputs, responses, mended) < 1e-15
    shift = (mended - weight).reshape(4, -1)
    row_space = scipy.linalg.orth(inputs.reshape(30, -1).T)
    np.testing.assert_allclose(shift @ row_space @ row_space.T, shift, atol=1e-10)


@pytest.mark.parametrize("amount", [0.3, 0.5, 0.7, 0.9])
def test_the_counts_are_those_of_magnitude_pruning(gallery: GalleryBundle, amount: float) -> None:
    form, network = prune(gallery, "channel", amount, images=drawings(24))
    counts = [producer.conv.out_channels for producer, _ in inner_pairs(network)]
    assert counts == [count for unit in form.kept for count in unit]
    assert form == prune(gallery, "magnitude", amount, images=drawings(1))[0]
    assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())


def test_the_seed_decides(gallery: GalleryBundle) -> None:
    first, same, other = (
        prune(gallery, "channel", 0.7, images=drawings(24), seed=seed)[1].state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@torch.no_grad()
@pytest.mark.parametrize("name", ["resnet26s", "resnet18s"])
def test_dead_channels_are_removed_and_nothing_changes(name: str) -> None:
    """Half of the filters are dead after their norm, with the largest weights of all."""
    bundle = random_gallery(name, seed=3)
    random = np.random.default_rng(0)
    active = []
    for producer, _ in inner_pairs(bundle.network):
        count = producer.conv.out_channels
        dead = random.permutation(count)[: count // 2]
        producer.bn.weight[dead], producer.bn.bias[dead] = 0, -0.1
        producer.conv.weight[dead] *= 100
        active.append(np.setdiff1d(np.arange(count), dead))
    # so that all other channels respond
    recalibrate(bundle.network, [PREPROCESSING.normalise(drawings(64))])
    _, network = prune(bundle, "channel", 0.5, images=drawings(64))
    for (producer, _), (narrow, _), channels in zip(
        inner_pairs(bundle.network), inner_pairs(network), active, strict=True
    ):
        assert torch.equal(narrow.bn.bias, producer.bn.bias[channels])
    images = PREPROCESSING.normalise(drawings(32))
    torch.testing.assert_close(network(images), bundle.network(images), atol=1e-4, rtol=0)


@torch.no_grad()
def kit_layers(images: NDArray[Any]) -> list[tuple[NDArray[Any], NDArray[Any], NDArray[Any], Any]]:
    """For each unit of the starter kit's gallery network: patches by torch's unfold, responses and
    weights of the second convolution, and the filters of the first."""
    bundle = GalleryBundle.load(kit.path("gallery"))
    network = copy.deepcopy(bundle.network)
    seen: list[Any] = []
    for unit in residual_units(network):
        body: list[Any] = unit_body(unit)
        body[1].conv.register_forward_hook(lambda m, args, out: seen.append((args[0], out)))
    network(bundle.preprocessing.normalise(images))
    layers = []
    for (inputs, outputs), (producer, consumer) in zip(seen, inner_pairs(network), strict=True):
        patches = F.unfold(inputs, 3, padding=1)  # (N, C K, L)
        rows = torch.randperm(outputs.shape[2] * outputs.shape[3])[:48]
        flat = patches[:, :, rows].permute(0, 2, 1).reshape(-1, inputs.shape[1], 9)
        responses = outputs.flatten(2)[:, :, rows].permute(0, 2, 1).reshape(len(flat), -1)
        weight = consumer.conv.weight.flatten(2)
        layers.append(
            (
                flat.double().numpy(),
                responses.double().numpy(),
                weight.double().numpy(),
                producer.conv.weight.detach(),
            )
        )
    return layers


def test_lasso_picks_better_than_norms_do_on_a_trained_network() -> None:
    torch.manual_seed(0)
    ratios = []
    for inputs, responses, weight, filters in kit_layers(drawings(24, size=64))[:4]:
        np.testing.assert_allclose(
            np.einsum("pck,ock->po", inputs, weight), responses, atol=1e-3
        )  # the samples are what the convolution reads
        keep = len(filters) // 2
        lasso = select_channels(*moments(inputs, responses, weight), keep)
        norms = filters.abs().sum((1, 2, 3)).topk(keep).indices.sort().values.numpy()
        errors = []
        for chosen in (lasso, norms):
            mended = reconstruct(inputs[:, chosen], responses, weight[:, chosen])
            errors.append(error(inputs[:, chosen], responses, mended))
            assert errors[-1] <= error(inputs[:, chosen], responses, weight[:, chosen])
        ratios.append(errors[0] / errors[1])
    assert np.mean(ratios) < 0.9


@torch.no_grad()
def test_a_trained_network_keeps_more_than_by_magnitude() -> None:
    """Cosines of embeddings of images that pruning did not see."""
    bundle = GalleryBundle.load(kit.path("gallery"))
    images = drawings(64, size=64)
    unseen = bundle.preprocessing.normalise(images[1::2])
    wanted = bundle.network(unseen)
    cosines = {
        method: (prune(bundle, method, 0.5, images=images[::2])[1](unseen) * wanted)
        .sum(1)
        .mean()
        .item()
        for method in ("magnitude", "channel")
    }
    assert cosines["channel"] > cosines["magnitude"] + 0.2
