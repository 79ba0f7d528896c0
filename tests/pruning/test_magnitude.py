"""Magnitude pruning against L1 norms ranked by hand and against masked filters."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from edgecmp.artefacts.bundle import GalleryBundle
from edgecmp.networks.gallery import GalleryNet
from edgecmp.networks.pruned import Pruned
from edgecmp.pruning import prune
from tests.fixtures.pruning_networks import PREPROCESSING, drawings, inner_pairs, random_gallery

AMOUNTS = (0.3, 0.5, 0.7, 0.9)


@pytest.fixture(scope="module", params=["resnet26s", "resnet18s"])
def gallery(request: pytest.FixtureRequest) -> GalleryBundle:
    return random_gallery(request.param)


def largest(weight: Any, keep: int) -> Any:
    """Indices of the filters with the largest L1 norms, ascending."""
    norms = np.abs(weight.detach().double().numpy()).sum((1, 2, 3))
    return np.sort(np.argsort(norms)[-keep:])


@pytest.mark.parametrize("amount", AMOUNTS)
def test_filters_are_ranked_by_their_l1_norms(gallery: GalleryBundle, amount: float) -> None:
    form, network = prune(gallery, "magnitude", amount, images=drawings(1))
    pairs, cut = inner_pairs(gallery.network), inner_pairs(network)
    kept = [count for unit in form.kept for count in unit]
    assert [producer.conv.out_channels for producer, _ in cut] == kept
    for (producer, _), (narrow, _), count in zip(pairs, cut, kept, strict=True):
        assert count == producer.conv.out_channels - round(amount * producer.conv.out_channels)
        chosen = largest(producer.conv.weight, count)
        for name in ("weight", "bias", "running_mean", "running_var"):
            assert torch.equal(getattr(narrow.bn, name), getattr(producer.bn, name)[chosen])
    assert form == Pruned.of(gallery.network.name, amount, embedding_dim=16, input_size=32)


@torch.no_grad()
def masked(network: GalleryNet, amount: float) -> GalleryNet:
    """The unpruned network, in which the dropped filters are zero after their batch norm."""
    network = copy.deepcopy(network)
    for producer, _ in inner_pairs(network):
        count = producer.conv.out_channels
        kept = largest(producer.conv.weight, count - round(amount * count))
        dropped = np.setdiff1d(np.arange(count), kept)
        producer.bn.weight[dropped] = 0
        producer.bn.bias[dropped] = 0
    return network


@pytest.mark.parametrize("amount", AMOUNTS)
def test_it_equals_the_network_with_the_filters_masked(
    gallery: GalleryBundle, amount: float
) -> None:
    _, network = prune(gallery, "magnitude", amount, images=drawings(1))
    images = PREPROCESSING.normalise(drawings(16))
    with torch.no_grad():
        ours, theirs = network(images), masked(gallery.network, amount).eval()(images)
        unpruned = gallery.network(images)
    torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=0)
    assert (ours - unpruned).abs().max() > 1e-3  # masking has an effect


def test_the_gallery_network_is_not_changed(gallery: GalleryBundle) -> None:
    before = {name: tensor.clone() for name, tensor in gallery.network.state_dict().items()}
    prune(gallery, "magnitude", 0.5, images=drawings(1))
    after = gallery.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("method", ["magnitude", "channel"])
def test_nothing_pruned_is_the_same_network_bit_for_bit(
    gallery: GalleryBundle, method: str
) -> None:
    form, network = prune(gallery, method, 0.0, images=drawings(1))
    assert form.unpruned
    theirs = gallery.network.state_dict()
    assert all(torch.equal(ours, theirs[name]) for name, ours in network.state_dict().items())
    images = PREPROCESSING.normalise(drawings(16))
    with torch.no_grad():
        assert torch.equal(network(images), gallery.network(images))
